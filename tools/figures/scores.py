"""Scores of the layers by every method."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analyzers.records import AnalysisResult
from knowledge.comparison import ranks
from tools.figure_style import BLUE, capital, error_bars, finished, tick_step
from tools.figures.values import Values, with_unit
from tools.wording import interval, significant


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


def score_table(result: AnalysisResult) -> Values:
    """A row a layer: each score in its own unit with its interval and its rank, then the consensus."""
    placed = {method: ranks(found) for method, found in result.scores.items()}
    ordered = {method: sorted(found, key=lambda score: score.layer) for method, found in result.scores.items()}
    place = {layer: number for number, layer in enumerate(result.consensus, start=1)}
    rows = []
    for position, layer in enumerate(result.layers):
        cells = [
            f"{significant(found[position].value)} ({interval(found[position].low, found[position].high)}), "
            f"rank {placed[method][position]}"
            for method, found in ordered.items()
        ]
        rows.append([str(layer.index), *cells, str(place.get(layer.index, ""))])
    return Values(["layer", *(with_unit(m, result.units.get(m, "")) for m in result.scores), "rank by consensus"], rows)
