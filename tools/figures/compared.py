"""Runs side by side."""

from collections.abc import Sequence

import plotly.graph_objects as go

from analyzers.records import Measurement
from knowledge.comparison import MeasurementRow, RankRow
from tools.figures.before_after import before_after
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


def compared_measurements(rows: Sequence[MeasurementRow], runs: Sequence[str]) -> go.Figure:
    """What at least two runs measured, a bar a run with its interval; several subjects of a quantity stand in one panel."""
    shown: list[Measurement] = []
    for row in rows:
        there = [(run, value) for run, value in zip(runs, row.values, strict=True) if value is not None]
        if len(there) > 1:
            shown += [value.model_copy(update={"subject": f"{run}, {row.subject}"}) for run, value in there]
    return before_after(shown)
