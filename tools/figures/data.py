"""A data set at a glance: its classes and the lengths of its texts."""

from itertools import pairwise

import plotly.graph_objects as go

from analyzers.datasets.preview import Preview
from tools.figure_style import BLUE, INK, finished
from tools.figures.values import Values
from tools.wording import count, cut


def class_balance(preview: Preview) -> go.Figure:
    """How many examples each class has."""
    rows = preview.classes[::-1]  # the first on top
    figure = go.Figure(
        go.Bar(
            x=[each.examples for each in rows],
            y=[_label(each.label) for each in rows],
            orientation="h",
            marker_color=BLUE,
            text=[f" {each.examples:,} ({each.examples / preview.examples:.0%}) " for each in rows],
            textposition="auto",
            insidetextfont={"color": "white"},
            outsidetextfont={"color": INK},
            hovertemplate="%{y}: %{x}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="examples", rangemode="tozero")
    figure.update_yaxes(type="category", showgrid=False)
    return finished(figure, 100 + 30 * max(len(rows), 2), legend=False)


def class_table(preview: Preview) -> Values:
    """A row a class."""
    rows = [[each.label, count(each.examples), f"{each.examples / preview.examples:.1%}"] for each in preview.classes]
    return Values(["class", "examples", "share"], rows)


def text_lengths(preview: Preview) -> go.Figure:
    """How long the texts are, up to the length that 95 % do not exceed."""
    found = preview.lengths
    width = found.edges[1] - found.edges[0]
    figure = go.Figure(
        go.Bar(
            x=[edge + width / 2 for edge in found.edges[:-1]],
            y=found.counts,
            width=width * 0.92,
            marker_color=BLUE,
            customdata=_between(preview),
            hovertemplate="%{customdata} characters: %{y} texts<extra></extra>",
        )
    )
    figure.update_xaxes(title_text=f"characters (5 % at most are longer, up to {found.longest:,})", showgrid=False)
    figure.update_yaxes(title_text="texts", rangemode="tozero")
    return finished(figure, 260, legend=False)


def length_table(preview: Preview) -> Values:
    """The same as numbers."""
    found = preview.lengths
    rows = [
        ["shortest", f"{found.least:,}"],
        ["median", f"{found.median:,}"],
        ["95 % are not longer than", f"{found.most_of_them:,}"],
        ["longest", f"{found.longest:,}"],
    ]
    bins = [
        [f"texts of {between} characters", count(n)] for between, n in zip(_between(preview), found.counts, strict=True)
    ]
    return Values(["characters", ""], [*rows, *bins, ["longer texts", count(found.longer)]])


def _between(preview: Preview) -> list[str]:
    edges = preview.lengths.edges
    return [f"{low:.0f} to {high:.0f}" for low, high in pairwise(edges)]


def _label(name: str) -> str:
    """A class in a tick, where plotly would take some signs for markup."""
    return cut(name, 30).replace("&", "&amp;").replace("<", "&lt;")
