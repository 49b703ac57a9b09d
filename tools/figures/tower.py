"""The stack of layers."""

from collections.abc import Sequence

import plotly.graph_objects as go

from analyzers.records import Layer
from tools.figure_style import BLUE, INK, ORANGE, finished
from tools.figures.values import Values
from tools.wording import count

NOW, THEN = "now", "after"
_BLOCK = 0.84  # height of a layer; the rest is the gap between two


def tower(stack: Sequence[Layer], removed: Sequence[int]) -> go.Figure:
    """Two towers that stand on the input: all layers with those that go empty, and what is left, with their old numbers."""
    gone = set(removed)
    figure = go.Figure()
    stay, go_ = [layer for layer in stack if layer.index not in gone], [layer for layer in stack if layer.index in gone]
    height = {layer.index: place for place, layer in enumerate(stack)}
    size = 12 if len(stack) <= 20 else 9
    for state, blocks in (("stays", stay), ("goes", go_)):
        stays = state == "stays"
        figure.add_bar(
            x=[NOW] * len(blocks),
            y=[_BLOCK] * len(blocks),
            base=[height[layer.index] for layer in blocks],
            name=f"{state} ({len(blocks)})",
            width=0.72,
            marker={
                "color": BLUE if stays else "#fde8d9",
                "line": {"color": BLUE if stays else ORANGE, "width": 1.5},
            },
            text=[str(layer.index) for layer in blocks],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "white" if stays else INK, "size": size},
            customdata=[[layer.index, layer.name] for layer in blocks],
            hovertemplate=f"layer %{{customdata[0]}} {state} (%{{customdata[1]}})<extra></extra>",
        )
    figure.add_bar(
        x=[THEN] * len(stay),
        y=[_BLOCK] * len(stay),
        base=list(range(len(stay))),
        width=0.72,
        showlegend=False,
        marker={"color": BLUE, "line": {"color": BLUE, "width": 1.5}},
        text=[str(layer.index) for layer in stay],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        textfont={"color": "white", "size": size},
        customdata=[[layer.index, layer.name] for layer in stay],
        hovertemplate="was layer %{customdata[0]} (%{customdata[1]})<extra></extra>",
    )
    figure.update_layout(barmode="overlay", uniformtext={"mode": "show", "minsize": size})
    figure.update_yaxes(
        range=[-0.3, len(stack) + 0.2],
        tickvals=[0, len(stack) - 1 + _BLOCK],
        ticktext=["input", "output"],
        showgrid=False,
        zeroline=False,
        ticks="",
    )
    figure.update_xaxes(
        tickvals=[NOW, THEN],
        ticktext=[f"{len(stack)} layers", f"{len(stay)} layers"],
        categoryarray=[NOW, THEN],
        showgrid=False,
        ticks="",
    )
    return finished(figure, 110 + (26 if len(stack) <= 20 else 15) * len(stack))


def tower_table(stack: Sequence[Layer], removed: Sequence[int]) -> Values:
    """A row a layer, the output on top as in the picture."""
    gone = set(removed)
    rows = [
        [str(layer.index), "goes" if layer.index in gone else "stays", count(layer.parameters), layer.name]
        for layer in reversed(stack)
    ]
    return Values(["layer", "", "parameters", "module"], rows)
