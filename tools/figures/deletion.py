"""What is lost when layers are removed in the order of each method."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analyzers.records import AnalysisResult, CurvePoint
from tools.figure_style import axis_title, finished, line_style, log_if_wide, scaled, tick_step
from tools.figures.values import Values
from tools.wording import layers, number, significant, title


def deletion_curves(result: AnalysisResult) -> go.Figure:
    """Loss and metric while layers are removed in each method's order, against random order and the greedy oracle."""
    figure = make_subplots(cols=2, subplot_titles=["Loss (lower is better)", axis_title(result.metric)])
    first = _first(result.curves)
    for place, (name, curve) in enumerate(_methods_last(result.curves)):
        line, marker = line_style(name, place - 2)
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


def _methods_last(curves: dict[str, list[CurvePoint]]) -> list[tuple[str, list[CurvePoint]]]:
    first = [(name, curves.get(name, [])) for name in ("random", "greedy")]
    return first + [(name, curve) for name, curve in curves.items() if name not in ("random", "greedy")]


def deletion_table(result: AnalysisResult) -> Values:
    """A row a number of layers removed: metric and loss by every order, as in the picture."""
    ordered = _methods_last(result.curves)
    first = _first(result.curves)
    rows = [
        [
            str(first + step),
            *(
                f"{number(curve[step].metric, result.metric)}, loss {significant(curve[step].loss)}"
                if step < len(curve)
                else ""
                for _, curve in ordered
            ),
        ]
        for step in range(max((len(curve) for _, curve in ordered), default=0))
    ]
    return Values(["layers removed", *(f"{title(result.metric)} by {title(name)}" for name, _ in ordered)], rows)


def _first(curves: dict[str, list[CurvePoint]]) -> int:
    """The number of layers removed at the first point; one of the random curve is a mean over orders and names none."""
    return min((len(c[0].removed) for name, c in curves.items() if c and name != "random"), default=1)
