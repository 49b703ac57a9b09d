"""Charts of what was measured: plotly figures that need no network, no theme, and no eye for red and green.

Every value is drawn with its 95 % interval where it has one.
"""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analyzers.records import (
    AnalysisResult,
    Candidate,
    CurvePoint,
    Estimate,
    HealingEpoch,
    Layer,
    Measurement,
    PlanResult,
    TrainEpoch,
)
from tools.figure_style import (
    BLUE,
    COLOURS,
    GREEN,
    GREY,
    INK,
    MARKERS,
    ORANGE,
    SUBJECTS,
    axis_title,
    capital,
    error_bars,
    finished,
    interval_bars,
    line_style,
    log_if_wide,
    scaled,
    tick_step,
)
from tools.wording import SHARES, layers, significant, title, with_interval


def scores_with_intervals(result: AnalysisResult) -> go.Figure:
    """One panel a method, each in its own unit: score of every layer with its interval."""
    methods = list(result.scores)
    columns = 1 if len(methods) == 1 else 2
    rows = -(-len(methods) // columns)
    titles = [f"{capital(m)}  ·  {result.units.get(m, '')}" for m in methods]
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=0.26 / rows
    )
    for number, method in enumerate(methods):
        scores = sorted(result.scores[method], key=lambda score: score.layer)
        figure.add_bar(
            x=[score.layer for score in scores],
            y=[score.value for score in scores],
            error_y=error_bars([(score.value, score.low, score.high) for score in scores]),
            marker_color=BLUE,
            customdata=[f"{significant(score.low)} to {significant(score.high)}" for score in scores],
            hovertemplate="layer %{x}: %{y:.4g} (%{customdata})<extra></extra>",
            row=number // columns + 1,
            col=number % columns + 1,
        )
    figure.update_xaxes(dtick=tick_step(len(result.layers)), showgrid=False)
    for column in range(1, columns + 1):
        figure.update_xaxes(title_text="layer", row=rows, col=column)
    figure.update_yaxes(nticks=5, rangemode="tozero")
    return finished(figure, 70 + 200 * rows, legend=False)


def agreement_matrix(result: AnalysisResult) -> go.Figure:
    """Kendall's τ between every two methods."""
    names = list(result.agreement.tau)
    values = [[result.agreement.tau[a].get(b) for b in names] for a in names]
    shown = [title(name) for name in names]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=shown,
            y=shown,
            zmin=-1,
            zmax=1,
            colorscale=[[0, ORANGE], [0.5, "#ffffff"], [1, BLUE]],
            xgap=2,
            ygap=2,
            text=[["" if value is None else f"{value:.2f}" for value in row] for row in values],
            texttemplate="%{text}",
            hovertemplate="%{y} and %{x}: τ = %{z:.3f}<extra></extra>",
            colorbar={"title": {"text": "τ"}, "thickness": 12, "outlinewidth": 0},
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="")
    figure.update_xaxes(showgrid=False, ticks="", side="bottom")
    return finished(figure, 130 + 46 * len(names), legend=False)


def deletion_curves(result: AnalysisResult) -> go.Figure:
    """Loss and metric while layers are removed in each method's order, against random order and the greedy oracle."""
    figure = make_subplots(cols=2, subplot_titles=["Loss (lower is better)", axis_title(result.metric)])
    # a point of the random curve is a mean over orders and names no layers
    first = min((len(c[0].removed) for name, c in result.curves.items() if c and name != "random"), default=1)
    for number, (name, curve) in enumerate(_methods_last(result.curves)):
        line, marker = line_style(name, number - 2)
        for column, values in ((1, [p.loss for p in curve]), (2, [scaled(result.metric, p.metric) for p in curve])):
            figure.add_scatter(
                x=[first + step for step in range(len(curve))],
                y=values,
                name=title(name),
                legendgroup=name,
                showlegend=column == 1,
                mode="lines+markers",
                line=line,
                marker=marker,
                customdata=[layers(point.removed) if point.removed else "several orders" for point in curve],
                hovertemplate="%{fullData.name}, %{x} removed (%{customdata}): %{y:.4g}<extra></extra>",
                row=1,
                col=column,
            )
    log_if_wide(figure, result.metric, [point.metric for curve in result.curves.values() for point in curve], 2)
    figure.update_xaxes(title_text="layers removed", dtick=tick_step(len(result.layers)))
    return finished(figure, 400)


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
    for number, candidate in enumerate(_baselines(plan)):
        figure.add_scatter(
            x=[len(plan.layers) - len(candidate.remove)],
            y=[scaled(plan.metric, candidate.select.metric.value)],
            name=title(candidate.source),
            mode="markers",
            marker={
                "size": 9,
                "color": COLOURS[(number + 1) % len(COLOURS)],
                "symbol": f"{MARKERS[(number + 1) % len(MARKERS)]}-open",
                "line": {"width": 2},
            },
            hovertemplate=f"%{{fullData.name}}, removed: {layers(candidate.remove)}<br>%{{y:.4g}}<extra></extra>",
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


def precisions(plan: PlanResult) -> go.Figure:
    """Quality on the select split against size on disk, one line a precision; points that are dominated are empty."""
    figure = go.Figure()
    for number, name in enumerate(dict.fromkeys(point.precision for point in plan.precisions)):
        points = sorted((p for p in plan.precisions if p.precision == name), key=lambda point: point.disk_mb)
        line, marker = line_style(name, number)
        symbol = str(marker["symbol"])
        figure.add_scatter(
            x=[point.disk_mb for point in points],
            y=[scaled(plan.metric, point.select.metric.value) for point in points],
            error_y=interval_bars([point.select.metric for point in points], plan.metric),
            name=title(name),
            mode="lines+markers",
            line=line,
            marker={**marker, "size": 9, "symbol": [f"{symbol}-open" if p.dominated else symbol for p in points]},
            customdata=[
                f"{len(p.keep)} layers, {with_interval(p.latency_ms, unit='ms')}{', dominated' if p.dominated else ''}"
                for p in points
            ],
            hovertemplate="%{fullData.name}, %{customdata}<br>%{x:.4g} MB: %{y:.4g}<extra></extra>",
        )
    log_if_wide(figure, plan.metric, [point.select.metric.value for point in plan.precisions])
    figure.update_xaxes(title_text="size on disk, predicted (MB)", rangemode="tozero")
    figure.update_yaxes(title_text=f"{axis_title(plan.metric)}, select split")
    return finished(figure, 400)


def candidates(plan: PlanResult) -> go.Figure:
    """Every candidate on the select split with its interval, the plan on top, all layers as a line."""
    rows = list(reversed(plan.candidates))
    figure = go.Figure(
        go.Scatter(
            x=[scaled(plan.metric, row.select.metric.value) for row in rows],
            y=list(range(len(rows))),
            error_x=interval_bars([row.select.metric for row in rows], plan.metric),
            mode="markers",
            marker={
                "size": [14 if row is plan.candidates[0] else 9 for row in rows],
                "color": [ORANGE if row is plan.candidates[0] else BLUE for row in rows],
                "symbol": ["star" if row is plan.candidates[0] else "circle" for row in rows],
                "opacity": 1,
            },
            customdata=[layers(row.remove) for row in rows],
            hovertemplate="%{x:.4g}, removed: %{customdata}<extra></extra>",
        )
    )
    names = [f"{title(row.source)}{' (the plan)' if row is plan.candidates[0] else ''}" for row in rows]
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(len(rows))), ticktext=names, showgrid=False, zeroline=False
    )
    figure.update_xaxes(title_text=f"{axis_title(plan.metric)}, select split")
    dense = scaled(plan.metric, plan.dense.metric.value)
    figure.add_scatter(
        x=[dense, dense],
        y=[-0.5, len(rows) - 0.2],
        mode="lines+text",
        text=["", "all layers "],
        textposition="middle left",
        textfont={"color": GREY, "size": 11},
        line={"dash": "dot", "color": GREY, "width": 1.5},
        hoverinfo="skip",
    )
    return finished(figure, 100 + 30 * max(len(rows), 3), legend=False)


def before_after(measurements: Sequence[Measurement]) -> go.Figure:
    """Each measured quantity before and after, in a panel of its own."""
    panels = list(dict.fromkeys((m.name, m.conditions) for m in measurements))
    names = [name for name, _ in panels]
    columns = min(3, max(1, len(names)))
    rows = -(-len(names) // columns)
    unit = {m.name: "%" if m.name in SHARES else m.unit for m in measurements}
    titles = [
        f"{capital(name)}{f'  ·  {unit[name]}' if unit[name] else ''}"
        + (f"<br><sup>{conditions}</sup>" if names.count(name) > 1 and conditions else "")
        for name, conditions in panels
    ]
    # A title of two lines would stand in the numbers of the axis above it.
    height, between = (180, 0.42) if any("<br>" in each for each in titles) else (140, 0.3)
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=titles, horizontal_spacing=0.12, vertical_spacing=between / rows
    )
    for number, (name, conditions) in enumerate(panels):
        found = [m for m in measurements if (m.name, m.conditions) == (name, conditions)][::-1]
        figure.add_bar(
            y=[m.subject for m in found],
            x=[scaled(name, m.value) for m in found],
            error_x=interval_bars([Estimate(value=m.value, low=m.low, high=m.high) for m in found], name),
            orientation="h",
            width=0.62,
            marker_color=[SUBJECTS.get(m.subject, GREEN) for m in found],
            text=[f" {with_interval(m).split(' (')[0]} " for m in found],
            textposition="inside",
            insidetextanchor="start",
            textfont={"color": "white", "size": 11},
            customdata=[with_interval(m) for m in found],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
            row=number // columns + 1,
            col=number % columns + 1,
        )
    figure.update_xaxes(rangemode="tozero", nticks=4)
    figure.update_yaxes(showgrid=False)
    return finished(figure, 60 + height * rows, legend=False)


def training_curve(epochs: Sequence[TrainEpoch | HealingEpoch], best_epoch: int, metric: str) -> go.Figure:
    """Loss and metric by epoch; a vertical line marks the checkpoint that was kept."""
    figure = make_subplots(cols=2, subplot_titles=["Loss", f"{axis_title(metric)}, select split"])
    x = [epoch.epoch for epoch in epochs]
    series = [
        (1, "train split", [epoch.train_loss for epoch in epochs], None, GREY, "dash"),
        (1, "select split", [e.select.loss.value for e in epochs], [e.select.loss for e in epochs], BLUE, "solid"),
        (
            2,
            title(metric),
            [scaled(metric, e.select.metric.value) for e in epochs],
            [e.select.metric for e in epochs],
            BLUE,
            "solid",
        ),
    ]
    for column, name, values, intervals, colour, dash in series:
        figure.add_scatter(
            x=x,
            y=values,
            error_y=interval_bars(intervals, metric if column == 2 else "") if intervals else None,
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2},
            showlegend=column == 1,
            hovertemplate=f"epoch %{{x}}, {name}: %{{y:.4g}}<extra></extra>",
            row=1,
            col=column,
        )
    figure.update_xaxes(title_text="epoch", dtick=max(1, len(x) // 10))
    figure.add_vline(x=best_epoch, line={"dash": "dot", "color": ORANGE, "width": 2})
    return finished(figure, 310)


def tower(stack: Sequence[Layer], removed: Sequence[int]) -> go.Figure:
    """The stack from input to output: full blocks stay, empty ones go."""
    gone = set(removed)
    figure = go.Figure()
    for state, indexes in (
        ("stays", [layer.index for layer in stack if layer.index not in gone]),
        ("goes", [layer.index for layer in stack if layer.index in gone]),
    ):
        stays = state == "stays"
        figure.add_bar(
            x=indexes,
            y=[1] * len(indexes),
            name=f"{state} ({len(indexes)})",
            width=0.86,
            marker={
                "color": BLUE if stays else "#fde8d9",
                "line": {"color": BLUE if stays else ORANGE, "width": 2},
            },
            text=[str(index) for index in indexes],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "white" if stays else INK, "size": 13 if len(stack) <= 20 else 10},
            customdata=[layer.name for layer in stack if (layer.index in gone) != stays],
            hovertemplate=f"layer %{{x}} {state} (%{{customdata}})<extra></extra>",
        )
    figure.update_yaxes(visible=False, range=[0, 1.02])
    figure.update_xaxes(visible=False, range=[-0.7, len(stack) - 0.3])
    figure.update_layout(barmode="overlay")
    return finished(figure, 120, margin={"l": 10, "r": 10, "t": 36, "b": 8})


def _methods_last(curves: dict[str, list[CurvePoint]]) -> list[tuple[str, list[CurvePoint]]]:
    first = [(name, curves.get(name, [])) for name in ("random", "greedy")]
    return first + [(name, curve) for name, curve in curves.items() if name not in ("random", "greedy")]


def _baselines(plan: PlanResult) -> list[Candidate]:
    return [each for each in plan.candidates[1:] if each.remove != plan.remove]
