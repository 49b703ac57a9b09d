"""Forecasts of a step: scaled medians of earlier runs, arithmetic with its formula, or the reason why there is none."""

from pathlib import Path

import pytest

from analyzers.errors import UnknownRun
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Run, Split, TrainRequest
from analyzers.requests import ExportRequest
from tests.fake_workflows import no_index
from tests.sample_runs import SPLITS, analysis_run, compression_run, evaluation_run, export_run, plan_run, train_run
from tools import workload
from tools.estimates import Forecast, Forecasts, forecast
from tools.workspace import Workspace

__all__ = ["no_index"]

CPU = train_run().environment.cpu
LARGER = {name: Split(n=2 * split.n, sha256="d" * 64) for name, split in SPLITS.items()}
TRAIN = TrainRequest(model="demo:minilm", data="demo:amazon")
EPOCHS = len(train_run().result.epochs)  # type: ignore[union-attr]


@pytest.fixture
def home(tmp_path: Path, no_index: None, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(workload, "cpu", lambda: CPU)
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


def fill(home: Workspace, *runs: Run) -> Workspace:
    for run in runs:
        home.runs.save(run)
    return home


def seconds(found: Forecasts) -> Forecast:
    assert found.seconds is not None, found.unknown
    return found.seconds


def test_an_empty_home_knows_nothing_of_time_and_says_why(home: Workspace) -> None:
    found = forecast(TRAIN, home)
    assert (found.seconds, found.memory_mb, found.disk_mb) == (None, None, None)
    assert found.unknown == {
        "seconds": workload.NO_RUN,
        "memory_mb": workload.NO_SIZE,
        "disk_mb": workload.NO_SIZE,
    }


@pytest.mark.parametrize(("epochs", "times"), [(EPOCHS, 1.0), (2 * EPOCHS, 2.0), (1, 1 / EPOCHS)])
def test_time_of_a_training_grows_with_its_epochs(home: Workspace, epochs: int, times: float) -> None:
    fill(home, train_run())
    found = seconds(forecast(TRAIN.model_copy(update={"epochs": epochs}), home))
    assert found.value == pytest.approx(183.5 * times, abs=0.1)
    assert (found.n, found.runs, found.at_least) == (1, ("train-2a2a2a",), False)
    assert found.basis == "examples x parameters x epochs"


def test_time_grows_with_the_examples_of_other_data(home: Workspace) -> None:
    fill(home, train_run(), evaluation_run(splits=LARGER))  # demo:movie was read: twice as many examples
    other = TRAIN.model_copy(update={"data": "demo:movie", "epochs": EPOCHS})
    assert seconds(forecast(other, home)).value == pytest.approx(367.0)


def test_the_median_of_the_runs_counts_and_those_on_the_same_data_come_first(home: Workspace) -> None:
    runs = [
        train_run(run_id=f"train-{name}", seconds=value)
        for name, value in (("aaaaaa", 100), ("bbbbbb", 900), ("cccccc", 110))
    ]
    fill(home, *runs, train_run(run_id="train-dddddd", data="demo:movie", splits=LARGER, seconds=10))
    found = seconds(forecast(TRAIN.model_copy(update={"epochs": EPOCHS}), home))
    assert found.value == 110
    assert set(found.runs) == {"train-aaaaaa", "train-bbbbbb", "train-cccccc"}


@pytest.mark.parametrize(
    ("run", "request_", "why"),
    [
        (train_run(environment=train_run().environment.model_copy(update={"cpu": "another"})), TRAIN, workload.ELSEWHERE),
        (train_run(settings={"max_tokens": 16}), TRAIN, workload.OTHERS),
        (train_run(), TRAIN.model_copy(update={"epochs": 100}), workload.TOO_FAR),
        (train_run(), TRAIN.model_copy(update={"model": "bert-base-uncased"}), workload.NO_SIZE),
        (train_run(), TRAIN.model_copy(update={"data": "csv:new.csv"}), workload.NO_COUNT),
        (train_run(status="failed"), TRAIN, workload.NO_RUN),
    ],
)  # fmt: skip
def test_where_runs_say_nothing_the_reason_is_told(home: Workspace, run: Run, request_: TrainRequest, why: str) -> None:
    found = forecast(request_, fill(home, run))
    assert found.seconds is None
    assert found.unknown["seconds"] == why


def test_memory_and_disk_of_a_training(home: Workspace) -> None:
    found = forecast(TRAIN, fill(home, train_run()))
    assert found.memory_mb == Forecast(
        value=363.2,  # 16 bytes x 22.7 million
        n=0,
        runs=(),
        basis="16 bytes x parameters: weights, gradients, two moments of AdamW",
        at_least=True,
    )
    assert found.disk_mb == Forecast(value=90.9, n=1, runs=("train-2a2a2a",), basis="bytes of its files, by parameters")


def test_a_peak_that_was_measured_goes_before_arithmetic(home: Workspace) -> None:
    fill(home, train_run(peak_mb=1200.0))
    found = forecast(TRAIN, home).memory_mb
    assert found is not None
    assert (found.value, found.n, found.at_least) == (1200.0, 1, False)
    smaller = forecast(TRAIN.model_copy(update={"batch_size": 2}), home).memory_mb
    assert smaller is not None
    assert (smaller.value, smaller.n) == (363.2, 0)  # batches of another size take another peak


def test_only_the_newest_runs_are_read_and_a_parent_is_found_among_the_old(
    home: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(home, train_run(), analysis_run(), plan_run())
    monkeypatch.setattr(workload, "NEWEST", 1)
    looked = workload.Home(home)
    assert [run.kind for run in looked.runs] == ["plan"]
    assert looked.find("analysis-3b3b3b") == analysis_run()
    assert looked.find("analysis-zzzzzz") is None


def test_an_analysis_is_as_long_as_those_with_the_same_methods(home: Workspace) -> None:
    settings = {"methods": ["main"], "samples": 128, "max_tokens": 128, "batch_size": 16}
    peak = (
        compression_run()
        .measurements[-1]
        .model_copy(update={"name": "peak_memory_mb", "subject": "measured", "value": 2176.2})
    )
    fill(home, train_run(), analysis_run(settings=settings, measurements=[peak]))
    model = {"model": "train-2a2a2a", "data": "demo:amazon"}
    found = forecast(AnalyzeRequest(**model), home)
    assert seconds(found).value == 183.5
    assert found.memory_mb is not None
    assert (found.memory_mb.value, found.memory_mb.runs) == (2176.2, ("analysis-3b3b3b",))
    assert found.disk_mb == Forecast(value=0.0, n=0, runs=(), basis="numbers are kept, no weights")
    assert forecast(AnalyzeRequest(**model, methods=("shap",)), home).unknown["seconds"] == workload.OTHERS
    named = AnalyzeRequest(**model, samples=256)
    assert seconds(forecast(named, home)).value == 367.0
    assert forecast(AnalyzeRequest(**model, samples="auto"), home).unknown["seconds"] == workload.OTHERS


def test_a_plan_is_as_long_as_its_sets(home: Workspace) -> None:
    settings = {"granularity": "block", "objective": "metric", "precisions": []}
    plan = plan_run(settings=settings)
    plan = plan.model_copy(update={"result": plan.result.model_copy(update={"spent": 63.0})})
    fill(home, train_run(), analysis_run(), plan)
    wanted = PlanRequest(analysis="analysis-3b3b3b", ratio=3)
    assert seconds(forecast(wanted, home)).value == 183.5  # six layers have 63 sets, and 64 may be measured
    few = wanted.model_copy(update={"budget": 21.0})
    assert seconds(forecast(few, home)).value == pytest.approx(183.5 / 3, abs=0.1)
    none = PlanRequest(analysis="analysis-3b3b3b", ratio=1)
    assert forecast(none, home).unknown["seconds"] == workload.TOO_FAR  # one set: the fixed costs decide
    minutes = wanted.model_copy(update={"minutes": 2.0})
    assert (seconds(forecast(minutes, home)).value, seconds(forecast(minutes, home)).at_least) == (120.0, True)


def test_a_compression_is_as_long_as_its_healing(home: Workspace) -> None:
    settings = {"heal": "distill", "quantize": "none", "heal_data": []}
    fill(home, train_run(), analysis_run(), plan_run(), compression_run(settings=settings))
    found = forecast(CompressRequest(plan="plan-4c4c4c"), home)
    assert seconds(found).value == pytest.approx(183.5 * 3 / 2, abs=0.1)  # that one healed for two epochs
    assert found.disk_mb == Forecast(value=69.6, n=1, runs=("plan-4c4c4c",), basis="predicted by the plan")
    assert found.memory_mb is not None
    assert found.memory_mb.value == round((4 * 22.7e6 + 16 * 17.4e6) / 1e6, 1)
    assert forecast(CompressRequest(plan="plan-4c4c4c", heal="lora"), home).unknown["seconds"] == workload.OTHERS
    fewer = forecast(CompressRequest(plan="plan-4c4c4c", quantize="int8"), home)
    assert fewer.unknown["disk_mb"] == workload.OTHERS  # four bytes a parameter would be wrong
    timed = CompressRequest(plan="plan-4c4c4c", heal_minutes=5)
    assert seconds(forecast(timed, home)).value == 300


def test_evaluations_and_exports(home: Workspace) -> None:
    fill(home, train_run(), analysis_run(), plan_run(), compression_run(), evaluation_run(), export_run())
    wanted = EvaluateRequest(model="train-2a2a2a", data="demo:movie")
    assert seconds(forecast(wanted, home)).value == pytest.approx(183.5 * 22.7 / 17.4, abs=0.1)
    export = forecast(ExportRequest(model="compression-5d5d5d", format="gguf"), home)
    assert seconds(export).value == 183.5
    assert (
        forecast(ExportRequest(model="compression-5d5d5d", format="onnx"), home).unknown["seconds"] == workload.OTHERS
    )


def test_a_run_that_does_not_exist(home: Workspace) -> None:
    with pytest.raises(UnknownRun, match="no run 'plan-zzzzzz'"):
        forecast(CompressRequest(plan="plan-zzzzzz"), home)
