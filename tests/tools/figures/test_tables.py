"""Beside each picture stands a table of the values that it draws."""

import pytest

from analyzers.records import AnalysisResult, CompressionResult, PlanResult, Run
from tests.sample_runs import analysis_run, compression_run, evaluation_run, plan_run, story, train_run
from tools import figures
from tools.figures import pictures


def plan() -> PlanResult:
    result = plan_run().result
    assert isinstance(result, PlanResult)
    return result


def test_each_kind_of_run_has_its_pictures() -> None:
    assert [[picture.name for picture in pictures(run)] for run in story()] == [
        ["training"],
        ["scores", "score_map", "agreement", "deletion"],
        ["tower", "frontier", "candidates"],
        ["before_after", "healing"],
    ]
    assert pictures(evaluation_run()) == []  # told in a table of measurements alone
    assert pictures(train_run(result=None, status="running")) == []


@pytest.mark.parametrize("run", [*story(), *story(30)], ids=lambda run: run.id)
def test_each_table_is_a_rectangle_with_a_sentence_above(run: Run) -> None:
    for picture in pictures(run):
        assert picture.table.rows, picture.name
        assert {len(row) for row in picture.table.rows} == {len(picture.table.header)}, picture.name
        assert picture.title
        assert picture.about.endswith((".", ").")), picture.about


def test_an_analysis_of_one_method_has_nothing_to_agree_with() -> None:
    found = analysis_run().result
    assert isinstance(found, AnalysisResult)
    one = {"scores": {"shap": found.scores["shap"]}, "agreement": {"kendall_w": None, "tau": {"shap": {"shap": 1.0}}}}
    run = analysis_run(result=AnalysisResult.model_validate({**found.model_dump(), **one, "curves": {}}))
    assert [picture.name for picture in pictures(run)] == ["scores", "score_map"]


def test_scores_stand_with_interval_and_rank() -> None:
    found = analysis_run().result
    assert isinstance(found, AnalysisResult)
    table = figures.score_table(found)
    assert table.header[:2] == ["layer", "Fisher (nats²/unit²)"]
    first = found.scores["fisher"][0]
    assert table.rows[0][1].startswith(f"{first.value:.3g}"[:4])
    assert table.rows[found.consensus[0]][-1] == "1"
    assert sorted(row[-1] for row in table.rows) == list("123456")


def test_the_deletion_table_has_both_values_of_each_point() -> None:
    found = analysis_run().result
    assert isinstance(found, AnalysisResult)
    table = figures.deletion_table(found)
    assert table.header[:3] == ["layers removed", "accuracy by random", "accuracy by greedy"]
    assert [row[0] for row in table.rows] == list("12345")
    last = found.curves["greedy"][-1]
    assert table.rows[-1][2] == f"{100 * last.metric:.1f} %, loss {last.loss:.3f}"


def test_the_frontier_table_names_the_plan_and_each_baseline_once() -> None:
    rows = figures.frontier_table(plan()).rows
    assert rows[0][:3] == ["all layers", "6", "none"]
    # of the record: three layers fewer, 0.896 - 0.015 - 0.3/8 = 0.8435
    assert [row for row in rows if row[0] == "the plan"] == [
        ["the plan", "3", "1-3", "17.4 M", "84.4 % (81.2 to 87.1)"]
    ]
    # the angular block removes what the plan removes, and so does SHAP
    assert [row[0] for row in rows[-5:]] == ["best found", "greedy", "ablation", "block influence", "reverse order"]


def test_a_plan_beside_its_frontier_is_in_the_table_too() -> None:
    other = plan().model_copy(update={"frontier": plan().frontier[:1]})
    assert ["the plan", "3"] in [row[:2] for row in figures.frontier_table(other).rows]


def test_the_tower_reads_from_output_to_input() -> None:
    rows = figures.tower_table(plan().layers, plan().remove).rows
    assert [row[0] for row in rows] == list("543210")
    assert {row[0] for row in rows if row[1] == "goes"} == {str(index) for index in plan().remove}


def test_before_and_after_has_each_measurement() -> None:
    run = compression_run()
    rows = figures.before_after_table(run.measurements).rows
    assert len(rows) == len(run.measurements)
    assert rows[0] == ["accuracy", "dense", "test", "89.9 % (87.1 to 92.5)", "455"]


def test_the_kept_epoch_is_marked() -> None:
    made = compression_run().result
    assert isinstance(made, CompressionResult)
    assert made.healing
    rows = figures.epoch_table(made.healing.epochs, made.healing.best_epoch, made.metric).rows
    assert [row[-1] for row in rows] == ["", "", "yes"]
    assert rows[0][:3] == ["0", "0.400", "85.4 % (82.3 to 88.1)"]
