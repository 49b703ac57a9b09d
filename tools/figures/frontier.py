"""Quality against size, with the plan and the baselines."""

import plotly.graph_objects as go

from analyzers.records import Candidate, Outcome, PlanResult
from tools.figure_style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    axis_title,
    finished,
    interval_bars,
    log_if_wide,
    scaled,
    tick_step,
)
from tools.figures.values import Values
from tools.wording import count, layers, title, units, with_interval


def frontier(plan: PlanResult) -> go.Figure:
    """Quality on the select split against the layers kept, with the plan and the baselines."""
    points = sorted(plan.frontier, key=lambda point: len(point.keep))
    figure = go.Figure()
    figure.add_scatter(
        x=[len(point.keep) for point in points],
        y=[scaled(plan.metric, point.select.metric.value) for point in points],
        error_y=interval_bars([point.select.metric for point in points], plan.metric),
        name="best found for each size",
        mode="lines+markers",
        line={"color": BLUE, "width": 2},
        marker={"size": 7},
        customdata=[layers(point.remove) for point in points],
        hovertemplate="%{x} layers kept, removed: %{customdata}<br>%{y:.4g}<extra></extra>",
    )
    # One mark for all: twenty colours tell nothing apart. Which is which says the picture of the candidates.
    others = _baselines(plan)
    figure.add_scatter(
        x=[len(plan.layers) - len(each.remove) for each in others],
        y=[scaled(plan.metric, each.select.metric.value) for each in others],
        name="methods and baselines",
        mode="markers",
        marker={"size": 9, "color": INK, "symbol": "diamond-open", "line": {"width": 1.5}},
        customdata=[[title(each.source), layers(each.remove)] for each in others],
        hovertemplate="%{customdata[0]}, removed: %{customdata[1]}<br>%{y:.4g}<extra></extra>",
    )
    figure.add_scatter(
        x=[len(plan.keep)],
        y=[scaled(plan.metric, plan.candidates[0].select.metric.value)] if plan.candidates else [],
        name="the plan",
        mode="markers",
        marker={"size": 17, "color": ORANGE, "symbol": "star", "line": {"color": "white", "width": 1}},
        hovertemplate=f"the plan, removed: {layers(plan.remove)}<br>%{{y:.4g}}<extra></extra>",
    )
    dense = scaled(plan.metric, plan.dense.metric.value)
    figure.add_scatter(
        x=[min((len(point.keep) for point in points), default=0), len(plan.layers)],
        y=[dense, dense],
        name="all layers",
        mode="lines",
        line={"dash": "dot", "color": GREY, "width": 1.5},
        hovertemplate="all layers: %{y:.4g}<extra></extra>",
    )
    log_if_wide(figure, plan.metric, [point.select.metric.value for point in points])
    figure.update_xaxes(title_text="layers kept", dtick=tick_step(len(plan.layers)))
    figure.update_yaxes(title_text=f"{axis_title(plan.metric)}, select split")
    return finished(figure, 400)


def _baselines(plan: PlanResult) -> list[Candidate]:
    return [each for each in plan.candidates[1:] if each.remove != plan.remove]


def frontier_table(plan: PlanResult) -> Values:
    """A row a point of the picture: all layers, the best of each size with the plan named, then the baselines."""

    def row(what: str, kept: int, gone: list[int], parameters: str, found: Outcome) -> list[str]:
        return [what, str(kept), units(plan, gone), parameters, with_interval(found.metric, plan.metric)]

    whole = next((count(point.parameters) for point in plan.frontier if not point.remove), "")
    points = [
        row(
            "the plan" if point.remove == plan.remove else "best found",
            len(point.keep),
            point.remove,
            count(point.parameters),
            point.select,
        )
        for point in sorted(plan.frontier, key=lambda point: -len(point.keep))
        if point.remove  # all layers are there already
    ]
    if plan.candidates and not any(point[0] == "the plan" for point in points):
        points.insert(0, row("the plan", len(plan.keep), plan.remove, "", plan.candidates[0].select))
    rows = [
        row("all layers", len(plan.layers), [], whole, plan.dense),
        *points,
    ]
    for each in _baselines(plan):
        rows.append(row(title(each.source), len(plan.layers) - len(each.remove), each.remove, "", each.select))
    return Values(["set", "layers kept", "removed", "parameters", f"{title(plan.metric)}, select split"], rows)
