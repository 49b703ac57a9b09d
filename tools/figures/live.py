"""Training that goes on: what has been written of it so far."""

from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from tools.figure_style import BLUE, GREY, axis_title, finished, scaled
from tools.figures.values import Values
from tools.wording import number, significant, title

POINTS = 400  # of the training loss that are drawn: a screen shows no more
SMOOTH = 20  # batches that a point of the training loss is a mean of, at most
_TRAIN, _SELECT = "train/loss", "select/loss"


def live_curve(folder: Path) -> tuple[go.Figure, Values] | None:
    """Loss and metric of the training or healing whose run is in that folder, batch by batch; None before the first.

    Read from `tensorboard/`, which is written while the training goes on.
    """
    found = _scalars(folder / "tensorboard")
    losses = found.get(_TRAIN, [])
    if not losses:
        return None
    metric = next(
        (name.removeprefix("select/") for name in found if name.startswith("select/") and name != _SELECT), ""
    )
    figure = make_subplots(cols=2, subplot_titles=["Loss", f"{axis_title(metric)}, select split" if metric else ""])
    width = max(1, min(SMOOTH, len(losses) // 10))
    smooth = [
        (losses[end - 1][0], sum(value for _, value in losses[max(0, end - width) : end]) / min(end, width))
        for end in range(1, len(losses) + 1)
    ]
    shown = smooth[:: max(1, len(smooth) // POINTS)]
    series = [(1, f"train split, mean of {width} batches", shown, GREY, "lines", "")]
    series.append((1, "select split", found.get(_SELECT, []), BLUE, "lines+markers", ""))
    if metric:
        series.append((2, title(metric), found[f"select/{metric}"], BLUE, "lines+markers", metric))
    for column, name, points, colour, mode, quantity in series:
        figure.add_scatter(
            x=[step for step, _ in points],
            y=[scaled(quantity, value) for _, value in points],
            name=name,
            mode=mode,
            line={"color": colour, "width": 2},
            showlegend=column == 1,
            hovertemplate=f"batch %{{x}}, {name}: %{{y:.4g}}<extra></extra>",
            row=1,
            col=column,
        )
    figure.update_xaxes(title_text="batch", rangemode="tozero", range=[0, losses[-1][0] + 1])
    reached = dict(found.get(f"select/{metric}", []))
    rows = [
        [str(step), significant(loss), number(reached[step], metric) if step in reached else ""]
        for step, loss in found.get(_SELECT, [])
    ]
    now = [str(losses[-1][0]), significant(smooth[-1][1])]
    rows = [[*row, ""] for row in rows] + [[now[0], "", "", now[1]]]
    header = ["batch", "loss, select split", f"{title(metric)}, select split", "loss, train split"]
    table = Values(header, rows)
    return finished(figure, 310), table


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Step and value of everything that was written, by name; a file that is being written is read as far as it goes."""
    if not folder.is_dir():
        return {}
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    names = events.Tags()[SCALARS]
    return {name: [(each.step, each.value) for each in events.Scalars(name)] for name in names}
