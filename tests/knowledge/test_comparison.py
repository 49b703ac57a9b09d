"""What differs between runs, and when a difference is said to be more than chance."""

import pytest

from analyzers.errors import UsageError
from analyzers.records import LayerScore, Measurement, Run, Split
from knowledge.comparison import compare, ranks, verdict
from tests.sample_runs import ENVIRONMENT, SPLITS, analysis_run, compression_run, train_run


def accuracy(low: float | None, high: float | None) -> Measurement:
    return Measurement(name="accuracy", subject="dense", split="test", value=0.9, low=low, high=high, n=100)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((0.80, 0.85), (0.90, 0.95), "second higher"),
        ((0.90, 0.95), (0.80, 0.85), "first higher"),
        ((0.80, 0.92), (0.90, 0.95), "cannot tell"),
        ((0.80, 0.90), (0.90, 0.95), "cannot tell"),  # they touch
        ((None, None), (0.90, 0.95), None),
        ((0.80, 0.85), (None, None), None),
    ],
)
def test_only_intervals_apart_are_a_difference(first, second, expected) -> None:
    assert verdict(accuracy(*first), accuracy(*second)) == expected


def with_accuracy(run_id: str, low: float, high: float, **changes: object) -> Run:
    return train_run(run_id=run_id, measurements=[accuracy(low, high)], **changes)


def test_settings_that_differ_and_no_others() -> None:
    found = compare([with_accuracy("train-a", 0.8, 0.85), with_accuracy("train-b", 0.9, 0.95, seed=3, settings={})])
    assert {row.name: row.values for row in found.settings} == {
        "seed": [0, 3],
        "epochs": [3, None],
        "batch_size": [16, None],
        "learning_rate": [1e-4, None],
        "max_tokens": [128, None],
        "patience": [2, None],
    }
    assert [row.verdict for row in found.measurements] == ["second higher"]
    assert found.cautions == []


def test_a_quantity_that_one_run_lacks_has_a_gap_and_no_verdict() -> None:
    found = compare([train_run(), compression_run()])
    rows = {(row.name, row.subject): row for row in found.measurements}
    healed = rows["accuracy", "healed"]
    assert healed.values[0] is None
    assert healed.values[1] is not None
    assert healed.verdict is None
    assert rows["accuracy", "dense"].verdict == "cannot tell"


def test_three_runs_have_no_verdict() -> None:
    found = compare(
        [with_accuracy(f"train-{name}", low, low + 0.01) for name, low in zip("abc", (0.1, 0.5, 0.9), strict=True)]
    )
    assert [row.verdict for row in found.measurements] == [None]
    assert len(found.measurements[0].values) == 3


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
