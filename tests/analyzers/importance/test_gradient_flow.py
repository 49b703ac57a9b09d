import numpy as np
import pytest
import torch

from analyzers.errors import ModelError
from analyzers.importance.gradient_flow import gradient_flow
from tests import tiny
from tests.analyzers.test_layers import bart


def test_by_hand():
    # A block h + w h sends back g + w g: the share of its own is |w|, whatever the text.
    found = gradient_flow(tiny.engine(tiny.scalar_stack(0.5, -0.3, 0.0), tiny.batches([[1], [2, 3]], [0, 1])))
    assert [score.value for score in found] == pytest.approx([0.5, 0.3, 0.0], abs=1e-6)
    assert all(score.low == pytest.approx(score.high) for score in found)


def test_by_hand_with_two_units():
    # Only unit 0 reaches the loss: g = (s, 0), and Wᵀg = s · (first row of W) has the length of that row.
    model = tiny.Stack(
        [[0.0, 0.0], [1.0, 2.0]],
        [tiny.Residual([[5.0, 5.0], [5.0, 5.0]]), tiny.Residual([[0.3, 0.4], [7.0, 7.0]])],
        [[1.0, 0.0], [0.0, 0.0]],
    )
    last = gradient_flow(tiny.engine(model, tiny.batches([[1]], [1])))[1]
    assert last.value == pytest.approx(0.5, rel=1e-5)


def test_no_gradient_is_no_share():
    model = tiny.scalar_stack(0.5, 0.5)
    model.head.weight.data.zero_()
    assert [score.value for score in gradient_flow(tiny.engine(model, tiny.batches([[1]], [0])))] == [0, 0]


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
def test_equals_a_loop_over_single_examples(build, data):
    engine = tiny.engine(build(), data)
    rows = []
    for batch in data:
        for row in range(len(batch)):
            ends = {}
            with engine.layered.capturing(
                lambda layer, given, output, ends=ends: ends.update({layer: (given, output)})
            ):
                loss = engine.task.losses(engine.layered.model, batch.rows(row, row + 1)).sum()
            slopes = [torch.autograd.grad(loss, pair, retain_graph=True) for pair in ends.values()]
            rows.append([float((before - after).norm() / after.norm()) for before, after in slopes])
    found = gradient_flow(engine)
    assert [score.value for score in found] == pytest.approx(np.mean(rows, axis=0).tolist(), rel=1e-3)
    for score in found:
        assert score.low < score.value < score.high


def test_an_encoder_with_a_decoder():
    with pytest.raises(ModelError, match=r"an encoder and a decoder; gradient_flow needs one stack.*--methods"):
        gradient_flow(tiny.engine(bart(), tiny.batches([[3, 4, 2]], [0])))
