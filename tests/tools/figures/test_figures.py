"""Figures show the numbers of the records: values, intervals, and which layers stay."""

import json

import pytest

from analyzers.records import (
    AnalysisResult,
    CompressionResult,
    Estimate,
    Measurement,
    PlanResult,
    PrecisionPoint,
    TrainResult,
)
from tests.sample_runs import METHODS, analysis_run, compression_run, plan_run, train_run
from tools import figures

SIZES = [6, 30]


def analysis(layers: int = 6) -> AnalysisResult:
    result = analysis_run(layers).result
    assert isinstance(result, AnalysisResult)
    return result


def plan(layers: int = 6) -> PlanResult:
    result = plan_run(layers).result
    assert isinstance(result, PlanResult)
    return result


@pytest.mark.parametrize("layers", SIZES)
def test_each_method_has_a_panel_with_its_unit_and_its_intervals(layers: int) -> None:
    figure = figures.scores_with_intervals(analysis(layers))
    assert len(figure.data) == len(METHODS)
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles[0] == "Fisher  ·  nats²/unit²"
    for trace, scores in zip(figure.data, analysis(layers).scores.values(), strict=True):
        assert list(trace.x) == [score.layer for score in scores]
        assert list(trace.y) == [score.value for score in scores]
        tops = [y + up for y, up in zip(trace.y, trace.error_y.array, strict=True)]
        bottoms = [y - down for y, down in zip(trace.y, trace.error_y.arrayminus, strict=True)]
        assert tops == pytest.approx([score.high for score in scores])
        assert bottoms == pytest.approx([score.low for score in scores])


def test_one_method_alone() -> None:
    result = analysis().model_copy(update={"scores": {"shap": analysis().scores["shap"]}})
    assert len(figures.scores_with_intervals(result).data) == 1


def test_scores_may_come_in_any_order() -> None:
    shuffled = {method: scores[::-1] for method, scores in analysis().scores.items()}
    figure = figures.scores_with_intervals(analysis().model_copy(update={"scores": shuffled}))
    assert list(figure.data[0].x) == [0, 1, 2, 3, 4, 5]


def test_the_agreement_matrix_is_the_record() -> None:
    trace = figures.agreement_matrix(analysis()).data[0]
    assert (trace.zmin, trace.zmax) == (-1, 1)
    for row, first in zip(trace.z, METHODS, strict=True):
        assert list(row) == [analysis().agreement.tau[first][second] for second in METHODS]


def test_deletion_curves_of_random_order_start_where_the_others_do() -> None:
    figure = figures.deletion_curves(analysis())
    assert {trace.name for trace in figure.data} == {
        *("random", "greedy", "Fisher", "gradient", "ablation", "mutual information", "conductance", "SHAP")
    }
    assert len(figure.data) == 16  # loss and metric
    for trace in figure.data:
        assert list(trace.x) == [1, 2, 3, 4, 5]
    assert max(figure.data[1].y) == pytest.approx(100 * analysis().curves["random"][0].metric)  # in per cent


def test_a_perplexity_that_explodes_gets_a_logarithmic_axis() -> None:
    curves = {
        name: [point.model_copy(update={"metric": 40.0 * 10**step}) for step, point in enumerate(curve)]
        for name, curve in analysis().curves.items()
    }
    figure = figures.deletion_curves(analysis().model_copy(update={"metric": "perplexity", "curves": curves}))
    assert (figure.layout.yaxis.type, figure.layout.yaxis2.type) == (None, "log")
    assert figures.deletion_curves(analysis()).layout.yaxis2.type is None


@pytest.mark.parametrize("layers", SIZES)
def test_the_frontier_shows_the_plan_and_other_baselines(layers: int) -> None:
    found = plan(layers)
    traces = {trace.name: trace for trace in figures.frontier(found).data}
    assert list(traces["best found for each size"].x) == list(range(1, layers + 1))
    assert (list(traces["the plan"].x), list(traces["the plan"].y)) == ([layers // 2], [pytest.approx(85.4)])
    others = traces["methods and baselines"]
    named = {source: y for (source, _), y in zip(others.customdata, others.y, strict=True)}
    assert named["reverse order"] == pytest.approx(71.3)
    assert "SHAP" not in named  # the same set as the plan
    assert list(traces["all layers"].y) == [pytest.approx(89.6)] * 2


def test_candidates_are_in_order_with_the_plan_on_top() -> None:
    trace = figures.candidates(plan()).data[0]
    assert trace.y[-1] == 6
    assert trace.x[-1] == pytest.approx(85.4)
    assert trace.marker.symbol == ("circle",) * 6 + ("star",)
    assert figures.candidates(plan()).layout.yaxis.ticktext[-1] == "search (the plan)"


def test_before_and_after_has_a_panel_for_each_quantity() -> None:
    run = compression_run()
    figure = figures.before_after(run.measurements)
    assert len(figure.data) == len({m.name for m in run.measurements})
    accuracy = figure.data[0]
    assert dict(zip(accuracy.y, accuracy.x, strict=True)) == {
        "dense": pytest.approx(89.9),
        "compressed": pytest.approx(84.6),
        "healed": pytest.approx(88.1),
    }
    sizes = next(trace for trace in figure.data if "90.9 MB" in trace.text[-1])
    assert sizes.error_x.visible is False  # nothing was resampled


def test_a_measurement_without_interval_or_unit_is_drawn() -> None:
    assert len(figures.before_after([Measurement(name="loss", subject="dense", value=1.0)]).data) == 1


def test_training_and_healing_mark_the_kept_epoch() -> None:
    trained, made = train_run().result, compression_run().result
    assert isinstance(trained, TrainResult)
    assert isinstance(made, CompressionResult)
    assert made.healing
    for epochs, best in ((trained.epochs, 2), (made.healing.epochs, 2)):
        figure = figures.training_curve(epochs, best, "accuracy")
        assert {shape.x0 for shape in figure.layout.shapes} == {best}
        assert list(figure.data[0].y) == [epoch.train_loss for epoch in epochs]


@pytest.mark.parametrize("layers", SIZES)
def test_the_tower_has_every_layer_once(layers: int) -> None:
    found = plan(layers)
    stays, goes, left = figures.tower(found.layers, found.remove).data
    assert list(goes.base) == sorted(found.remove)
    assert list(goes.text) == [str(index) for index in sorted(found.remove)]
    assert sorted([*stays.base, *goes.base]) == list(range(layers))
    assert [name for _, name in goes.customdata] == [found.layers[index].name for index in sorted(found.remove)]
    assert list(left.text) == list(stays.text)  # the numbers stay those of the original model
    assert list(left.base) == list(range(layers - len(found.remove)))


def test_figures_carry_no_theme_and_name_no_other_host() -> None:
    for figure in (
        figures.scores_with_intervals(analysis()),
        figures.agreement_matrix(analysis()),
        figures.deletion_curves(analysis()),
        figures.frontier(plan()),
        figures.candidates(plan()),
        figures.tower(plan().layers, plan().remove),
    ):
        text = figure.to_json()
        assert len(text) < 20_000
        assert "http" not in text
        assert json.loads(text)["layout"]["template"]["data"].keys() <= {"scatter"}


def test_each_precision_has_a_line_and_dominated_points_are_empty() -> None:
    points = [
        PrecisionPoint(
            precision=name,
            keep=list(range(kept)),
            remove=list(range(kept, 6)),
            select=plan().frontier[6 - kept].select,
            disk_mb=megabytes * kept,
            latency_ms=Estimate(value=float(kept)),
            conditions="1 text of 9 tokens",
            dominated=name == "none" and kept == 3,
        )
        for name, megabytes in (("none", 4.0), ("int8", 1.0))
        for kept in (6, 3)
    ]
    figure = figures.precisions(plan().model_copy(update={"precisions": points}))
    assert [trace.name for trace in figure.data] == ["float32", "int8"]
    assert [list(trace.x) for trace in figure.data] == [[12, 24], [3, 6]]
    assert list(figure.data[0].y) == pytest.approx([100 * p.select.metric.value for p in (points[1], points[0])])
    assert [symbol.endswith("-open") for trace in figure.data for symbol in trace.marker.symbol] == [
        True,
        False,
        False,
        False,
    ]
