"""An analysis that was stopped anywhere goes on: the same result, and nothing that was finished is computed twice."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from analyzers.analysis import analyze
from analyzers.errors import Cancelled, DataError
from analyzers.importance import registry
from analyzers.journal import Journal
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.records import AnalysisResult
from analyzers.tasks import Batch
from analyzers.tasks.classification import Classification
from tests import tiny

METHODS = ("ablation", "conductance", "fisher", "gradient", "mutual_information", "shap")
CALIBRATION, HELD_OUT = (tiny.random_batches(24, batch_size=8, seed=seed) for seed in (0, 1))


class Counting(Classification):
    """Counts how often each batch passes the model."""

    def __init__(self) -> None:
        self.passes: Counter[int] = Counter()

    def run(self, model: torch.nn.Module, batch: Batch) -> None:
        self.passes[len(batch)] += 1
        super().run(model, batch)

    def scores(self, model: torch.nn.Module, batch: Batch):
        self.passes[len(batch)] += 1
        return super().scores(model, batch)


class StopAt(Progress):
    """Stops at the n-th tick of all steps together."""

    def __init__(self, tick: int) -> None:
        super().__init__()
        self.left = tick

    def advanced(self, step: str, done: int, total: int) -> None:
        self.left -= 1
        if not self.left:
            raise Cancelled("stopped")


def run(task: Classification, progress: Progress | None = None, journal: Journal | None = None) -> AnalysisResult:
    loaded = Loaded(tiny.bert(), tiny.Tokens(), task)
    return analyze(loaded, [CALIBRATION], HELD_OUT, METHODS, 0, progress or Progress(), journal)


def test_a_full_disk_is_not_taken_for_a_method_that_failed(tmp_path: Path) -> None:
    class Full(Journal):
        def part(self, name: str) -> Journal:
            return self

        def keep(self, name: str, **arrays: object) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run(Counting(), journal=Full(tmp_path))


@pytest.fixture(scope="module")
def undisturbed() -> tuple[AnalysisResult, int]:
    task = Counting()
    return run(task), task.passes.total()


@pytest.mark.parametrize("tick", [1, 7, 11, 15, 18])
def test_a_stopped_analysis_goes_on(tmp_path: Path, undisturbed: tuple[AnalysisResult, int], tick: int) -> None:
    expected, passes = undisturbed
    task = Counting()
    with pytest.raises(Cancelled):
        run(task, StopAt(tick), Journal(tmp_path))
    assert run(task, journal=Journal(tmp_path)) == expected
    # The step that was stopped is the only one that may be made again, and per-example gradients try both ways again.
    assert task.passes.total() <= passes + 3 * len(CALIBRATION) + 4


def test_a_finished_analysis_computes_nothing_again(tmp_path: Path, undisturbed: tuple[AnalysisResult, int]) -> None:
    run(Counting(), journal=Journal(tmp_path))
    task = Counting()
    assert run(task, journal=Journal(tmp_path)) == undisturbed[0]
    assert task.passes.total() == 0


def test_many_stops_come_to_the_same_end(tmp_path: Path, undisturbed: tuple[AnalysisResult, int]) -> None:
    for _ in range(40):
        try:
            found = run(Counting(), StopAt(12), Journal(tmp_path))
            break
        except Cancelled:
            continue
    assert found == undisturbed[0]


def test_one_method_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []

    class Listening(Progress):
        def say(self, text: str) -> None:
            said.append(text)

    def refuse(engine: object) -> None:
        raise DataError("there is nothing to see")

    broken = {method.id: method for method in registry.methods()}["fisher"]
    broken = registry.Method(**{**vars(broken), "score": refuse})
    monkeypatch.setitem(registry._METHODS, "fisher", broken)
    registry.methods.cache_clear()
    try:
        found = run(Classification(), Listening())
    finally:
        registry.methods.cache_clear()
    assert found.failed == {"fisher": "there is nothing to see"}
    assert "without fisher: there is nothing to see" in said
    assert set(found.scores) == set(found.fidelity) == set(found.units) == set(METHODS) - {"fisher"}


def test_the_record_says_how_steady_each_order_is(undisturbed: tuple[AnalysisResult, int]) -> None:
    assert set(undisturbed[0].stability) == set(METHODS)
    assert all(-1 <= each.tau <= 1 for each in undisturbed[0].stability.values())
