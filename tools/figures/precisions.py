"""Quality against size on disk, by precision."""

import plotly.graph_objects as go

from analyzers.records import PlanResult
from tools.figure_style import axis_title, finished, interval_bars, line_style, log_if_wide, scaled
from tools.figures.values import Values
from tools.wording import title, with_interval


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


def precision_table(plan: PlanResult) -> Values:
    """A row a point of the picture."""
    rows = [
        [
            str(len(point.keep)),
            title(point.precision),
            with_interval(point.select.metric, plan.metric),
            f"{point.disk_mb:.4g} MB",
            with_interval(point.latency_ms, unit="ms"),
            "yes" if point.dominated else "no",
        ]
        for point in plan.precisions
    ]
    conditions = f", {plan.precisions[0].conditions}" if plan.precisions else ""
    return Values(
        [
            "layers kept",
            "weights",
            f"{title(plan.metric)}, select split",
            "size on disk, predicted",
            f"latency{conditions}",
            "dominated",
        ],
        rows,
    )
