import numpy as np
import pytest

from analyzers import baselines
from analyzers.importance import engine as engine_module
from analyzers.importance.angular_distance import angular_distance
from analyzers.importance.block_influence import block_influence
from analyzers.progress import Progress
from tests import tiny
from tests.analyzers.test_baselines import turning

TEXTS = tiny.batches([[1, 2, 3], [2], [3, 1]], [0, 1, 0], batch_size=2)


def test_by_hand():
    found = block_influence(tiny.engine(turning(30, 90, 60).model, TEXTS))
    assert [score.value for score in found] == pytest.approx(1 - np.cos(np.radians([30, 90, 60])), abs=1e-6)


def test_a_block_that_only_stretches_has_no_influence():
    found = block_influence(tiny.engine(tiny.scalar_stack(1.0, -3.0), tiny.batches([[1], [2]], [0, 1])))
    assert [score.value for score in found] == pytest.approx([0, 2])  # times 2; times −2


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
def test_is_what_the_baseline_of_a_plan_orders_by(build, data):
    engine = tiny.engine(build(), data)
    found = block_influence(engine)
    similar = baselines.similarity(engine.layered, engine.task, data, Progress())
    assert [score.value for score in found] == pytest.approx(1 - similar.cosine)
    for score in found:
        assert score.low < score.value < score.high


def test_shares_its_sweep_with_angular_distance(monkeypatch: pytest.MonkeyPatch):
    sweeps = []
    measure = engine_module.sweep
    monkeypatch.setattr(engine_module, "sweep", lambda *args: sweeps.append(1) or measure(*args))
    engine = tiny.engine(tiny.bert(), tiny.random_batches())
    block_influence(engine), angular_distance(engine)
    assert len(sweeps) == 1
