"""What is read as a range and as a time, and which runs it means."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from analyzers.errors import UsageError
from analyzers.records import Measurement
from knowledge.catalogue import handed_over
from knowledge.filters import condition, moment, span
from knowledge.runs import RunStore
from tests.sample_runs import evaluation_run, plan_run, story, train_run

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("accuracy>=0.85", ("accuracy", "", ">=", 0.85)),
        (" latency_ms < 20 ", ("latency_ms", "", "<", 20.0)),
        ("healed.accuracy>85%", ("accuracy", "healed", ">", 0.85)),
        ("parameters==1e6", ("parameters", "", "=", 1e6)),
    ],
)
def test_ranges(text: str, expected: tuple) -> None:
    found = condition(text)
    assert (found.name, found.subject, found.comparator, found.value) == expected


@pytest.mark.parametrize("text", ["", "accuracy", "accuracy>", "0.85<accuracy", "accuracy>=0.8; DROP TABLE runs"])
def test_what_is_no_range_says_how_one_is_written(text: str) -> None:
    with pytest.raises(UsageError, match=r"latency_ms<20"):
        condition(text)


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("2026-11-20", False, datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20", True, datetime(2026, 11, 20, 23, 59, 59, 999999, tzinfo=UTC)),
        ("2026-11-20T14:30", False, datetime(2026, 11, 20, 14, 30, tzinfo=UTC)),
        ("yesterday", False, datetime(2026, 11, 23, tzinfo=UTC)),
        ("7d", False, datetime(2026, 11, 17, 12, tzinfo=UTC)),
        ("12h", True, datetime(2026, 11, 24, 0, tzinfo=UTC)),
    ],
)
def test_times(text: str, end: bool, expected: datetime) -> None:
    assert moment(text, end=end, at=NOON) == expected


def test_what_is_no_time_says_how_one_is_written() -> None:
    with pytest.raises(UsageError, match="yesterday"):
        moment("soon")


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [  # NOON is that of a Tuesday
        ("today", datetime(2026, 11, 24, tzinfo=UTC), None),
        ("yesterday", datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 23, 23, 59, 59, 999999, tzinfo=UTC)),
        ("this week", datetime(2026, 11, 23, tzinfo=UTC), None),
        ("Last  week", datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 22, 23, 59, 59, 999999, tzinfo=UTC)),
        ("this month", datetime(2026, 11, 1, tzinfo=UTC), None),
        ("last month", datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 17, 12, tzinfo=UTC), None),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 20, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_stretches_of_time(text: str, since: datetime, until: datetime | None) -> None:
    assert span(text, at=NOON) == (since, until)


def test_what_is_no_stretch_of_time_says_how_one_is_written() -> None:
    with pytest.raises(UsageError, match=r"'soon' is no stretch of time; write today, .*, last week"):
        span("soon")


def test_the_best_in_a_measurement_come_first(filled: RunStore) -> None:
    def values(name: str, **wanted: object) -> list[float]:
        return [found.value for run in filled.list(best=name, **wanted) if (found := handed_over(run, name))]

    for number, factor in enumerate((3, 2)):
        slower = [each.model_copy(update={"value": each.value * factor}) for each in evaluation_run().measurements]
        filled.save(evaluation_run().model_copy(update={"id": f"evaluation-{number}zzzzz", "measurements": slower}))
    accuracies, latencies = values("accuracy"), values("latency_ms")
    assert len(accuracies) > 2
    assert accuracies == sorted(accuracies, reverse=True)
    assert latencies == sorted(latencies), "less is better"
    assert filled.list(best="accuracy", kind="plan", limit=1) == [filled.get("plan-4c4c4c")]
    assert not filled.list(best="accuracy", until=datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="no run has measured 'beauty'; measured were: accuracy"):
        filled.list(best="beauty")


def test_of_a_plan_its_promise_counts_and_not_the_dense_model(filled: RunStore) -> None:
    dense = Measurement(name="accuracy", subject="dense", split="test", value=0.9, low=0.8, high=1.0, n=9)
    planned = dense.model_copy(update={"subject": "planned", "value": 0.8})
    filled.save(plan_run().model_copy(update={"measurements": [dense, planned]}))
    assert handed_over(filled.get("plan-4c4c4c"), "accuracy") == planned
    assert "plan-4c4c4c" not in [run.id for run in filled.list(where=["accuracy>=0.85"])]


@pytest.fixture
def filled(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "home", embedder_folder=None)
    for run in [*story(), evaluation_run()]:
        store.save(run)
    return store


def test_a_range_without_a_subject_is_of_the_model_that_is_handed_over(filled: RunStore) -> None:
    compression = filled.get("compression-5d5d5d")
    healed = compression.measured("accuracy", "healed", "test")
    dense = compression.measured("accuracy", "dense", "test")
    assert healed is not None
    assert dense is not None
    assert healed.value < dense.value
    between = f"accuracy>{(healed.value + dense.value) / 2}"
    assert compression.id not in [run.id for run in filled.list(where=[between])]
    assert compression.id in [run.id for run in filled.list(where=[f"dense.{between}"])]
    assert compression.id in [run.id for run in filled.list(where=["accuracy>0", "latency_ms<1e9"])]
    with pytest.raises(UsageError, match=r"'acuracy'; measured were: accuracy"):
        filled.list(where=["acuracy>0"])


def test_times_tags_pins_and_the_base_model(filled: RunStore) -> None:
    plan = filled.get("plan-4c4c4c")
    assert [run.id for run in filled.list(since=plan.created, until=plan.created)] == [plan.id]
    filled.tag(plan.id, ["Best", "v2"])
    filled.pin("train-2a2a2a")
    assert [run.id for run in filled.list(tags=["best", "v2"])] == [plan.id]
    assert filled.list(tags=["best", "other"]) == []
    assert [run.id for run in filled.list(pinned=True)] == ["train-2a2a2a"]
    assert len(filled.list(base_model="demo:minilm")) == 5
    assert [hit.run.id for hit in filled.search("anything", tags=["best"], since=plan.created)] == [plan.id]


def test_a_filter_that_does_not_exist_names_those_that_do(filled: RunStore) -> None:
    with pytest.raises(UsageError, match=r"colour.*kind, status, model"):
        filled.list(colour="red")


def test_the_base_model_follows_records_that_come_late_and_go(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "home", embedder_folder=None)
    runs = story()
    for run in reversed(runs):  # children before their parents, as imports may come
        store.save(run)
    assert [store.base_model(run) for run in runs] == ["demo:minilm"] * 4
    store.delete("train-2a2a2a", force=True)
    assert store.base_model(runs[-1]) == "train-2a2a2a"
    store.save(train_run(model="demo:smollm2"))
    assert len(store.list(base_model="demo:smollm2")) == 4
