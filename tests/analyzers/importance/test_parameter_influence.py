import numpy as np
import pytest
import torch

from analyzers.importance.parameter_influence import parameter_influence
from analyzers.importance.taylor import taylor
from tests import tiny
from tests.analyzers.importance.test_fisher import DATA, LABELS, TEXTS, VALUES, WEIGHTS, by_hand


def test_by_hand():
    gradients = by_hand(WEIGHTS, VALUES[TEXTS], np.array(LABELS))
    expected = np.abs(np.array(WEIGHTS)[:, None] * gradients).mean(axis=1)  # one parameter: its size times its slope
    found = parameter_influence(tiny.engine(tiny.scalar_stack(*WEIGHTS), DATA))
    assert [score.value for score in found] == pytest.approx(expected.tolist(), rel=1e-5)


def test_parameters_that_pull_apart_do_not_cancel():
    # θ = (½, ½) on the diagonal, ∇ = s·1.5·(1, 1, −1, −1) with ∂loss/∂logit = s = −½ at logit 0.
    blocks = [tiny.Residual([[0.5, 0.0], [0.0, 0.5]]) for _ in range(2)]
    model = tiny.Stack([[0.0, 0.0], [1.0, 1.0]], blocks, [[1.0, -1.0], [0.0, 0.0]])
    found = parameter_influence(tiny.engine(model, tiny.batches([[1]], [0])))
    assert [score.value for score in found] == pytest.approx([np.sqrt(0.5) * 0.5 * 1.5 * 2] * 2, rel=1e-5)


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
def test_no_step_of_that_size_changes_the_loss_more(build, data):
    engine = tiny.engine(build(), data)
    found = parameter_influence(engine)
    assert (engine.values["parameter_influence"] >= 0).all()
    taylor(engine)
    assert (engine.values["taylor"] < engine.values["parameter_influence"]).all()
    for score in found:
        assert score.low < score.value < score.high

    # A short step along the gradient gains exactly so much, in proportion.
    batch = data[0].rows(0, 1)
    row, fraction = int(batch.indices[0]), 1e-3
    for block in engine.layered.blocks:
        parameters = list(block.module.parameters())
        loss = engine.task.losses(engine.layered.model, batch).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        size = float(torch.cat([p.detach().flatten() for p in parameters]).norm())
        length = float(torch.cat([g.flatten() for g in gradients]).norm())
        around = []
        with torch.no_grad():
            for step in (fraction, -2 * fraction, fraction):
                for parameter, slope in zip(parameters, gradients, strict=True):
                    parameter += step * size / length * slope
                around.append(float(engine.task.losses(engine.layered.model, batch).sum()))
        slope = (around[0] - around[1]) / (2 * fraction)
        assert slope == pytest.approx(engine.values["parameter_influence"][row, block.index], rel=0.05)
