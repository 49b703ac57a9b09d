import numpy as np
import pytest

from analyzers.importance.fisher import fisher
from analyzers.importance.gradients import one_by_one
from tests import tiny


def values(model, data) -> list[float]:
    return [score.value for score in fisher(tiny.engine(model, data))]


def by_hand(weights: list[float], x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """∂loss/∂wₗ of each example, (layers, examples). h = x Π(1 + wₗ), logits (h, 0), loss = log(1 + exp(∓h))."""
    h = x * np.prod([1 + w for w in weights])
    slope = np.where(label == 0, -1 / (1 + np.exp(h)), 1 / (1 + np.exp(-h)))  # ∂loss/∂h
    return np.stack([slope * h / (1 + w) for w in weights])


WEIGHTS = [0.5, -0.3, 0.2]
VALUES = np.array([0.0, 1.0, -2.0, 0.5])  # of tokens 0 to 3
TEXTS, LABELS = [1, 2, 3, 1], [0, 0, 1, 1]
DATA = tiny.batches([[token] for token in TEXTS], LABELS, batch_size=3)


def test_by_hand():
    expected = (by_hand(WEIGHTS, VALUES[TEXTS], np.array(LABELS)) ** 2).mean(axis=1)
    assert values(tiny.scalar_stack(*WEIGHTS), DATA) == pytest.approx(expected.tolist(), rel=1e-5)


def test_is_not_the_square_of_a_batch_mean_gradient():
    # The same text with both labels: in the mean the gradients nearly cancel, and yet each carries information.
    gradients = by_hand(WEIGHTS, np.array([0.5, 0.5]), np.array([0, 1]))
    wrong = gradients.mean(axis=1) ** 2
    found = values(tiny.scalar_stack(*WEIGHTS), tiny.batches([[3], [3]], [0, 1]))
    assert found == pytest.approx((gradients**2).mean(axis=1).tolist(), rel=1e-5)
    assert all(right > 10 * mistaken for right, mistaken in zip(found, wrong, strict=True))


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
def test_equals_a_loop_over_single_examples(build, data):
    engine = tiny.engine(build(), data)
    blocks = engine.layered.blocks
    squares = np.zeros(len(blocks))
    for batch in data:
        for row in range(len(batch)):
            engine.layered.model.zero_grad()
            engine.task.losses(engine.layered.model, batch.rows(row, row + 1)).sum().backward()
            squares += [sum(float((p.grad**2).sum()) for p in block.module.parameters()) for block in blocks]
    engine.layered.model.zero_grad()
    expected = squares / sum(len(batch) for batch in data)
    assert [score.value for score in fisher(engine)] == pytest.approx(expected.tolist(), rel=1e-4)


def test_batching_and_padding_do_not_matter():
    model = tiny.bert()
    assert values(model, tiny.random_batches(batch_size=10)) == pytest.approx(
        values(model, tiny.random_batches(batch_size=1)), rel=1e-4
    )


def test_the_interval_is_over_examples():
    engine = tiny.engine(tiny.bert(), tiny.random_batches())
    each = np.concatenate([one_by_one(engine.layered, engine.task, batch)[0].numpy() for batch in engine.batches])
    for score in fisher(engine):
        assert each[:, score.layer].min() <= score.low < score.value < score.high <= each[:, score.layer].max()
    assert all(
        s.low == s.high for s in fisher(tiny.engine(tiny.scalar_stack(1.0, 1.0), tiny.batches([[1]] * 5, [0] * 5)))
    )
