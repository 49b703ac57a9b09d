import numpy as np
import pytest

from analyzers.importance.gradient import gradient
from tests import tiny
from tests.analyzers.importance.test_fisher import DATA, LABELS, TEXTS, VALUES, WEIGHTS, by_hand


def test_by_hand():
    expected = np.abs(by_hand(WEIGHTS, VALUES[TEXTS], np.array(LABELS))).mean(axis=1)
    scores = gradient(tiny.engine(tiny.scalar_stack(*WEIGHTS), DATA))
    assert [score.value for score in scores] == pytest.approx(expected.tolist(), rel=1e-5)


def test_is_per_parameter():
    # Width 2 with everything in unit 0: one of four weights has a gradient, that of the scalar model.
    texts = tiny.batches([[1]], [0])
    (one, _) = gradient(tiny.engine(tiny.scalar_stack(1.0, 2.0), texts))
    diagonal = [tiny.Residual([[weight, 0.0], [0.0, 0.0]]) for weight in (1.0, 2.0)]
    wide = tiny.Stack([[0.0, 0.0], [1.0, 0.0]], diagonal, [[1.0, 0.0], [0.0, 0.0]])
    (four, _) = gradient(tiny.engine(wide, texts))
    assert four.value == pytest.approx(one.value / np.sqrt(4), rel=1e-5)


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
def test_equals_a_loop_over_single_examples(build, data):
    engine = tiny.engine(build(), data)
    rows = []
    for batch in data:
        for row in range(len(batch)):
            engine.layered.model.zero_grad()
            engine.task.losses(engine.layered.model, batch.rows(row, row + 1)).sum().backward()
            gradients = [
                np.concatenate([p.grad.flatten() for p in b.module.parameters()]) for b in engine.layered.blocks
            ]
            rows.append([np.sqrt((flat**2).mean()) for flat in gradients])
    engine.layered.model.zero_grad()
    assert [score.value for score in gradient(engine)] == pytest.approx(np.mean(rows, axis=0).tolist(), rel=1e-4)


def test_shares_its_sweep_with_fisher(monkeypatch: pytest.MonkeyPatch):
    from analyzers.importance import engine as module
    from analyzers.importance.fisher import fisher

    sweeps = []
    measure = module.per_example_gradients
    monkeypatch.setattr(module, "per_example_gradients", lambda *args: sweeps.append(1) or measure(*args))
    engine = tiny.engine(tiny.bert(), tiny.random_batches())
    fisher(engine), gradient(engine)
    assert len(sweeps) == 1
