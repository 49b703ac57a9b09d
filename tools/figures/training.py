"""Training and healing, epoch by epoch."""

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from analyzers.records import HealingEpoch, TrainEpoch
from tools.figure_style import BLUE, GREY, ORANGE, axis_title, finished, interval_bars, scaled
from tools.figures.values import Values
from tools.wording import significant, title, with_interval


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
    figure.add_vline(x=best_epoch, line={"dash": "dot", "color": ORANGE, "width": 2}, layer="below")
    return finished(figure, 310)


def epoch_table(epochs: Sequence[TrainEpoch | HealingEpoch], best_epoch: int, metric: str) -> Values:
    """A row an epoch; the one that was kept says so."""
    rows = [
        [
            str(epoch.epoch),
            significant(epoch.train_loss),
            with_interval(epoch.select.metric, metric),
            with_interval(epoch.select.loss),
            "yes" if epoch.epoch == best_epoch else "",
        ]
        for epoch in epochs
    ]
    return Values(["epoch", "loss, train split", f"{title(metric)}, select split", "loss, select split", "kept"], rows)
