import numpy as np
import pytest

from analyzers.errors import NotFinite
from analyzers.importance.ablation import ablation
from tests import tiny
from tests.analyzers.test_coalitions import naive


def softplus(x: float) -> float:
    return float(np.log1p(np.exp(x)))


def test_by_hand():
    # Logits (h, 0) and label 0: the loss is log(1 + exp(-h)), h = 1 · (1 + 1) · (1 + 2) = 6.
    scores = ablation(tiny.engine(tiny.scalar_stack(1.0, 2.0), tiny.batches([[1]], [0])))
    assert [score.layer for score in scores] == [0, 1]
    assert [score.value for score in scores] == pytest.approx(
        [softplus(-3) - softplus(-6), softplus(-2) - softplus(-6)], abs=1e-6
    )
    assert all(score.low == score.value == score.high for score in scores)  # one example: nothing to resample


def test_a_block_that_hurts_has_a_negative_score():
    (harmful, useful) = ablation(tiny.engine(tiny.scalar_stack(-0.5, 1.0), tiny.batches([[1]] * 4, [0] * 4)))
    assert harmful.value < 0 < useful.value


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
def test_equals_deleting_each_block(build, data):
    engine = tiny.engine(build(), data)
    everything = frozenset(range(3))
    dense = naive(engine.layered.model, engine.task, data, everything)
    expected = [
        (naive(engine.layered.model, engine.task, data, everything - {layer}) - dense).mean() for layer in range(3)
    ]
    assert [score.value for score in ablation(engine)] == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_no_set_is_measured_twice():
    engine = tiny.engine(tiny.bert(), tiny.random_batches())
    ablation(engine)
    ablation(engine)
    assert engine.coalitions.evaluations == 4


def test_a_loss_that_is_not_finite_without_a_block():
    model = tiny.scalar_stack(-1.0, 1.0)  # without block 0, which gives zero, a value is too large for float32
    model.embeddings.weight.data[1] = 3e38
    with pytest.raises(NotFinite, match=r"ablation gives nan for example 1 at layer 0.*leave the method out"):
        ablation(tiny.engine(model, tiny.batches([[2], [1]], [1, 1])))
