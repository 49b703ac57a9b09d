"""Runs side by side: what differs, by how much, and whether that is more than chance."""

from pathlib import Path

import pytest

from analyzers.errors import UsageError
from analyzers.records import Measurement, Run
from tests.sample_runs import analysis_run, compression_run, train_run
from tools import figures
from tools.report import write
from tools.report.comparing import comparison_document
from tools.report.content import Document, Facts, Table


def accuracy(value: float, half: float = 0.02, n: int = 1000) -> Measurement:
    return Measurement(
        name="accuracy", subject="dense", split="test", value=value, low=value - half, high=value + half, unit="", n=n
    )


def other(value: float, **changes: object) -> Run:
    return train_run(run_id="train-999999", seed=3, measurements=[accuracy(value)], **changes)


FIRST = train_run(measurements=[accuracy(0.90)])


def tables(content: Document, section: str) -> list[Table]:
    found = next(each for each in content.sections if each.id == section)
    return [block for block in found.blocks if isinstance(block, Table)]


def test_what_was_asked_differently() -> None:
    (table,) = tables(comparison_document([FIRST, other(0.9)]), "differences")
    assert table.header == ["differs", "train-2a2a2a", "train-999999"]
    assert table.rows == [["seed", "0", "3"]]


@pytest.mark.parametrize(
    ("value", "says", "headline"),
    [
        (
            0.80,
            ["accuracy dense test", "90.0 % (88.0 to 92.0)", "80.0 % (78.0 to 82.0)", "first higher"],
            "1 of 1 quantities",
        ),
        (0.905, ["accuracy dense test", "90.0 % (88.0 to 92.0)", "90.5 % (88.5 to 92.5)", "cannot tell"], "none of 1"),
    ],
)
def test_a_difference_is_named_only_beyond_chance(value: float, says: list[str], headline: str) -> None:
    content = comparison_document([FIRST, other(value)])
    (table,) = tables(content, "measured")
    row = table.rows[0]
    assert [*row[:3], row[4]] == says
    assert headline in content.headline
    assert ("accuracy of dense" in content.headline) == (value == 0.80)


def test_three_runs_are_compared_with_the_first() -> None:
    runs = [FIRST, other(0.80), train_run(run_id="train-888888", measurements=[accuracy(0.9)])]
    (table,) = tables(comparison_document(runs), "measured")
    assert table.header == ["measured", "train-2a2a2a", "train-999999", "train-888888"]
    assert table.rows[0][2] == "80.0 % (78.0 to 82.0) *"
    assert not table.rows[0][3].endswith("*")


def test_the_chart_shows_the_difference_in_per_cent_with_its_interval() -> None:
    from knowledge.comparison import compare

    found = compare([FIRST, other(0.80)])
    drawn = figures.differences(found.measurements, found.runs).data[0]
    assert drawn.x == pytest.approx([100 * (0.80 - 0.90) / 0.90])
    assert drawn.marker.symbol == ("circle",)
    difference = found.measurements[0].differences[1]
    assert difference is not None
    assert drawn.error_x.array == pytest.approx([100 * (difference.high - difference.value) / 0.90])
    same = compare([FIRST, other(0.905)])
    assert figures.differences(same.measurements, same.runs).data[0].marker.symbol == ("circle-open",)


def test_ranks_stand_side_by_side() -> None:
    content = comparison_document([analysis_run(), analysis_run(run_id="analysis-999999")])
    (table,) = tables(content, "ranks")
    assert table.header == ["method", "run", "0", "1", "2", "3", "4", "5"]
    assert [row[:2] for row in table.rows[:2]] == [["Fisher", "analysis-3b3b3b"], ["Fisher", "analysis-999999"]]
    assert sorted(table.rows[0][2:]) == ["1", "2", "3", "4", "5", "6"]
    chart = next(chart for chart in content.charts() if chart.name == "ranks")
    assert list(chart.figure.data[0].z[0]) == [int(rank) for rank in table.rows[0][2:]]


def test_stacks_of_different_depth_are_compared_too(tmp_path: Path) -> None:
    runs = [analysis_run(), analysis_run(12, run_id="analysis-999999")]
    (table,) = tables(comparison_document(runs), "ranks")
    assert {len(row) for row in table.rows} == {14}
    assert write(runs, tmp_path / "report.html", compare=True).stat().st_size > 100_000


def test_cautions_come_first() -> None:
    elsewhere = FIRST.environment.model_copy(update={"cpu": "another"})
    content = comparison_document([FIRST, other(0.9, environment=elsewhere)])
    first = content.sections[0].blocks[0]
    assert isinstance(first, Facts)
    assert any("different machines" in fact.text for fact in first.items)


def test_one_run_is_no_comparison(tmp_path: Path) -> None:
    for runs in ([FIRST], [FIRST, FIRST]):
        with pytest.raises(UsageError, match="two or more different runs"):
            write(runs, tmp_path / "report.html", compare=True)
    assert list(tmp_path.iterdir()) == []


def test_runs_that_measured_nothing_in_common_say_so() -> None:
    runs = [FIRST, compression_run(measurements=[])]
    content = comparison_document(runs)
    assert "measured nothing with an interval that both have" in content.headline
    assert [chart.name for chart in content.charts()] == []
