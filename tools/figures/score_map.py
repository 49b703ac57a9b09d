"""All methods and all layers in one picture."""

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from analyzers.records import AnalysisResult
from knowledge.comparison import ranks
from tools.figure_style import INK, SKY, finished, tick_step
from tools.wording import significant, title

CONSENSUS = "consensus"


def score_map(result: AnalysisResult) -> go.Figure:
    """A row a method, a column a layer: its rank, 1 for the most important.

    Ranks, since the methods measure in units that cannot be compared; the score itself stands in the text of each cell.
    """
    layers = [layer.index for layer in result.layers]
    rows: dict[str, list[int | None]] = {}
    about: list[list[str]] = []
    for method, found in result.scores.items():
        ordered = sorted(found, key=lambda score: score.layer)
        rows[title(method)] = [*ranks(found)]
        about.append(
            [
                f"{significant(s.value)} {result.units.get(method, '')} ({significant(s.low)} to {significant(s.high)})"
                for s in ordered
            ]
        )
    if result.consensus:
        place = {layer: number for number, layer in enumerate(result.consensus, start=1)}
        rows[CONSENSUS] = [place.get(layer) for layer in layers]
        about.append(["weighted by fidelity" for _ in layers])
    figure = rank_map(rows, about, layers)
    if result.consensus:
        figure.add_hline(y=len(rows) - 1.5, line={"color": "white", "width": 6})
    return figure


def rank_map(
    rows: Mapping[str, Sequence[int | None]], about: Sequence[Sequence[str]], layers: Sequence[int]
) -> go.Figure:
    """Ranks of layers, a row each; `about` is what is read at a cell."""
    figure = go.Figure(
        go.Heatmap(
            z=[list(row) for row in rows.values()],
            x=layers,
            y=list(rows),
            zmin=1,
            zmax=max(2, len(layers)),
            # one hue, the darker the more important: it can be read with every kind of colour vision, and in grey
            colorscale=[[0, SKY], [1, "#f6fafd"]],
            xgap=2,
            ygap=2,
            text=[["" if rank is None else str(rank) for rank in row] for row in rows.values()],
            texttemplate="%{text}",
            textfont={"color": INK, "size": 12 if len(layers) <= 20 else 10},
            customdata=about,
            hovertemplate="%{y}, layer %{x}: rank %{z}<br>%{customdata}<extra></extra>",
            showscale=False,  # the ranks stand in the cells
        )
    )
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", zeroline=False)
    figure.update_xaxes(title_text="layer", dtick=tick_step(len(layers)), showgrid=False, ticks="", zeroline=False)
    return finished(figure, 110 + 34 * len(rows), legend=False)
