import numpy as np
import pytest

from analyzers.importance.taylor import taylor
from tests import tiny
from tests.analyzers.importance.test_fisher import DATA, LABELS, TEXTS, VALUES, WEIGHTS, by_hand


def test_by_hand():
    gradients = by_hand(WEIGHTS, VALUES[TEXTS], np.array(LABELS))
    expected = np.abs(np.array(WEIGHTS)[:, None] * gradients).mean(axis=1)
    found = taylor(tiny.engine(tiny.scalar_stack(*WEIGHTS), DATA))
    assert [score.value for score in found] == pytest.approx(expected.tolist(), rel=1e-5)


def test_parameters_that_pull_apart_cancel():
    # Two units with equal and opposed shares in the logit: to first order nothing happens when both go.
    blocks = [tiny.Residual([[0.5, 0.0], [0.0, 0.5]]) for _ in range(2)]
    model = tiny.Stack([[0.0, 0.0], [1.0, 1.0]], blocks, [[1.0, -1.0], [0.0, 0.0]])
    assert [score.value for score in taylor(tiny.engine(model, tiny.batches([[1]], [0])))] == pytest.approx([0, 0])


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
def test_equals_a_loop_over_single_examples(build, data):
    engine = tiny.engine(build(), data)
    rows = []
    for batch in data:
        for row in range(len(batch)):
            engine.layered.model.zero_grad()
            engine.task.losses(engine.layered.model, batch.rows(row, row + 1)).sum().backward()
            rows.append(
                [
                    abs(sum(float((p.grad * p.detach()).sum()) for p in b.module.parameters()))
                    for b in engine.layered.blocks
                ]
            )
    engine.layered.model.zero_grad()
    found = taylor(engine)
    assert [score.value for score in found] == pytest.approx(np.mean(rows, axis=0).tolist(), rel=1e-4)
    for score in found:
        assert score.low < score.value < score.high
