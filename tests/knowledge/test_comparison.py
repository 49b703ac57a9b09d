"""What differs between runs, and when a difference is said to be more than chance."""

import pytest

from analyzers.errors import UsageError
from analyzers.records import LayerScore, Measurement, Run, Split
from knowledge.comparison import compare, ranks, verdict
from tests.sample_runs import ENVIRONMENT, SPLITS, analysis_run, compression_run, train_run


def loss(value: float, apart: float | None) -> Measurement:
    low, high = (None, None) if apart is None else (value - apart, value + apart)
    return Measurement(name="loss", subject="dense", split="test", value=value, low=low, high=high, n=100)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.80, 0.05), (0.90, 0.05), "second higher"),  # 0.1 ± 0.0707
        ((0.90, 0.05), (0.80, 0.05), "first higher"),
        ((0.80, 0.08), (0.90, 0.07), "cannot tell"),  # 0.1 ± 0.106
        ((0.80, None), (0.90, 0.01), None),
        ((0.80, 0.01), (0.90, None), None),
    ],
)
def test_a_difference_counts_when_its_interval_leaves_out_zero(first, second, expected) -> None:
    assert verdict(loss(*first), loss(*second)) == expected


def with_loss(run_id: str, value: float, **changes: object) -> Run:
    return train_run(run_id=run_id, measurements=[loss(value, 0.01)], **changes)


def test_settings_that_differ_and_no_others() -> None:
    found = compare([with_loss("train-a", 0.8), with_loss("train-b", 0.9, seed=3, settings={})])
    assert {row.name: row.values for row in found.settings} == {
        "seed": [0, 3],
        "epochs": [3, None],
        "batch_size": [16, None],
        "learning_rate": [1e-4, None],
        "max_tokens": [128, None],
        "patience": [2, None],
    }
    assert [row.verdict for row in found.measurements] == ["second higher"]
    [caution] = found.cautions
    assert "paired" in caution, "tested on the same examples"


def test_a_quantity_that_one_run_lacks_has_a_gap_and_no_verdict() -> None:
    found = compare([train_run(), compression_run()])
    rows = {(row.name, row.subject): row for row in found.measurements}
    healed = rows["accuracy", "healed"]
    assert healed.values[0] is None
    assert healed.values[1] is not None
    assert healed.verdict is None
    assert rows["accuracy", "dense"].verdict == "cannot tell"


def test_three_runs_have_no_verdict() -> None:
    found = compare([with_loss(f"train-{name}", value) for name, value in zip("abc", (0.1, 0.5, 0.11), strict=True)])
    assert [row.verdict for row in found.measurements] == [None]
    assert len(found.measurements[0].values) == 3
    assert found.measurements[0].differences[0] is None
    assert [each.beyond_chance for each in found.measurements[0].differences[1:]] == [True, False]


def test_times_of_two_machines_are_not_compared() -> None:
    times = [
        Measurement(name="latency_ms", subject="dense", value=value, low=value - 1, high=value + 1) for value in (9, 20)
    ]
    here = train_run(measurements=times[:1])
    elsewhere = ENVIRONMENT.model_copy(update={"cpu": "another"})
    there = train_run(run_id="train-b", measurements=times[1:])
    assert compare([here, there]).measurements[0].verdict == "second higher"
    there = there.model_copy(update={"environment": elsewhere})
    assert compare([here, there]).measurements[0].verdict is None


def test_ranks_by_hand() -> None:
    scores = [LayerScore(layer=i, value=v, low=v, high=v) for i, v in ((2, 5.0), (0, 1.0), (1, 5.0), (3, 0.5))]
    assert ranks(scores) == [3, 1, 1, 4]


def test_analyses_show_ranks_side_by_side() -> None:
    other = analysis_run(run_id="analysis-other")
    fewer = {method: scores for method, scores in other.result.scores.items() if method != "shap"}
    other = other.model_copy(update={"result": other.result.model_copy(update={"scores": fewer})})
    rows = {row.method: row.ranks for row in compare([analysis_run(), other]).ranks}
    assert rows["fisher"][0] == rows["fisher"][1]
    assert sorted(rows["fisher"][0]) == [1, 2, 3, 4, 5, 6]
    assert rows["shap"][1] is None


def test_cautions() -> None:
    other = train_run(
        run_id="train-other",
        status="cancelled",
        splits={**SPLITS, "test": Split(n=9, sha256="9" * 64)},
        environment=ENVIRONMENT.model_copy(update={"cpu": "another"}),
    )
    text = " ".join(compare([train_run(), other]).cautions)
    assert "different examples" in text
    assert "different machines" in text
    assert "not finished: train-other" in text


@pytest.mark.parametrize("runs", [[], [train_run()], [train_run(), train_run()]])
def test_fewer_than_two_runs_is_wrong_use(runs: list[Run]) -> None:
    with pytest.raises(UsageError, match="layerwise runs compare"):
        compare(runs)
