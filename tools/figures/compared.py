"""Runs side by side."""

from collections.abc import Sequence

import plotly.graph_objects as go

from knowledge.comparison import MeasurementRow, RankRow
from tools.figure_style import COLOURS, GREY, MARKERS, error_bars, finished
from tools.figures.score_map import rank_map
from tools.wording import title


def compared_ranks(rows: Sequence[RankRow], runs: Sequence[str], layers: Sequence[int]) -> go.Figure:
    """A row for each method and run, those of a method under one another: the rank of each layer."""
    drawn: dict[str, list[int]] = {}
    for row in rows:
        for run, order in zip(runs, row.ranks, strict=True):
            if order is not None and len(order) == len(layers):
                drawn[f"{title(row.method)} · {run}"] = order
    return rank_map(drawn, [["" for _ in layers] for _ in drawn], layers)


def differences(rows: Sequence[MeasurementRow], runs: Sequence[str]) -> go.Figure:
    """How far each run is from the first, in per cent of the first, with the interval of the difference.

    A full mark is more than chance; an empty one has zero in its interval, which leaves it open.
    """
    figure = go.Figure()
    shown = [row for row in rows if any(row.differences)]
    names = [" ".join(filter(None, (title(row.name), row.subject, row.split, row.conditions))) for row in shown]
    for place, run in enumerate(runs[1:], start=1):
        points = []
        for name, row in zip(names, shown, strict=True):
            first, found = next((value for value in row.values if value is not None), None), row.differences[place]
            if first is not None and first.value and found is not None:
                share = 100 / abs(first.value)
                points.append((name, share * found.value, share * found.low, share * found.high, found.beyond_chance))
        symbol = MARKERS[(place - 1) % len(MARKERS)]
        figure.add_scatter(
            x=[value for _, value, *_ in points],
            y=[name for name, *_ in points],
            error_x=error_bars([(value, low, high) for _, value, low, high, _ in points]),
            name=run,
            mode="markers",
            marker={
                "size": 10,
                "color": COLOURS[(place - 1) % len(COLOURS)],
                "symbol": [symbol if beyond else f"{symbol}-open" for *_, beyond in points],
                "line": {"width": 2, "color": COLOURS[(place - 1) % len(COLOURS)]},
            },
            customdata=[f"{low:+.1f} to {high:+.1f} %" for _, _, low, high, _ in points],
            hovertemplate="%{y}, %{fullData.name}: %{x:+.1f} % (%{customdata})<extra></extra>",
        )
    figure.add_vline(x=0, line={"dash": "dot", "color": GREY, "width": 1.5}, layer="below")
    figure.update_yaxes(
        autorange="reversed", categoryorder="array", categoryarray=names, showgrid=False, zeroline=False, ticks=""
    )
    figure.update_xaxes(title_text=f"difference from {runs[0]} (% of it)", zeroline=False)
    return finished(figure, 130 + 30 * max(len(names), 2), legend=len(runs) > 2)
