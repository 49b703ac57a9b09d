"""What was measured before and after."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analyzers.records import Estimate, Measurement
from tools.figure_style import INK, OTHER, SUBJECTS, capital, finished, interval_bars, scaled
from tools.figures.values import Values
from tools.wording import SHARES, cells, with_interval


def before_after(measurements: Sequence[Measurement], most_columns: int = 3) -> go.Figure:
    """Each measured quantity before and after, in a panel of its own."""
    panels = list(dict.fromkeys((m.name, m.conditions) for m in measurements))
    names = [name for name, _ in panels]
    columns = min(most_columns, max(1, len(names)))
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
            marker_color=[SUBJECTS.get(m.subject.split(" ")[-1], OTHER) for m in found],
            text=[f" {with_interval(m).split(' (')[0]} " for m in found],
            textposition="auto",
            insidetextanchor="start",
            insidetextfont={"color": "white", "size": 11},
            outsidetextfont={"color": INK, "size": 11},
            customdata=[with_interval(m) for m in found],
            hovertemplate="%{y}: %{customdata}<extra></extra>",
            row=number // columns + 1,
            col=number % columns + 1,
        )
    figure.update_xaxes(rangemode="tozero", nticks=4)
    figure.update_yaxes(showgrid=False)
    return finished(figure, 60 + height * rows, legend=False)


def before_after_table(measurements: Sequence[Measurement]) -> Values:
    """A row a measurement."""
    return Values(["measured", "model", "split", "value (95 % interval)", "n"], [cells(each) for each in measurements])
