"""How charts look: colours told apart by every kind of eye, one font, thin intervals."""

from collections.abc import Sequence

import plotly.graph_objects as go

from analyzers.records import Estimate
from tools.wording import SHARES, title

# Okabe and Ito: told apart with every kind of colour vision. Shape or dash differs too, for prints in grey.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"]
MARKERS = ["circle", "square", "diamond", "triangle-up", "cross", "star"]
BLUE, ORANGE, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
SKY, AMBER = COLOURS[5], COLOURS[4]  # light enough for dark text on them
INK, GREY, PALE = "#1f2933", "#7b8794", "#e4e7eb"
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"
# Dark enough for white text on them: at least 4.5 : 1.
SUBJECTS = {
    "dense": "#5f6b78",
    "predicted": "#87567f",
    "compressed": "#b04a00",
    "healed": BLUE,
    "quantized": "#007357",
}
OTHER = "#007357"


def finished(figure: go.Figure, height: int, *, legend: bool = True, margin: dict[str, int] | None = None) -> go.Figure:
    """Size, font, grid and legend; no theme, so that the file stays small."""
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        showlegend=legend,
        font={"family": FONT, "size": 12, "color": INK},
        margin=margin or {"l": 60, "r": 20, "t": 60 if legend else 40, "b": 50},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.08, "x": 0},
        hoverlabel={"bgcolor": "white", "font": {"color": INK}},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
    )
    figure.update_xaxes(gridcolor=PALE, zerolinecolor=PALE, automargin=True, title_standoff=8, title_font_size=12)
    figure.update_yaxes(gridcolor=PALE, zerolinecolor=GREY, automargin=True, title_standoff=8, title_font_size=12)
    figure.update_annotations(font_size=13)
    return figure


def error_bars(values: Sequence[tuple[float, float | None, float | None]], factor: float = 1.0) -> dict[str, object]:
    """Error bars; intervals need not be symmetric."""
    if all(low is None and high is None for _, low, high in values):
        return {"visible": False}
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if high is None else max(high - value, 0) * factor for value, _, high in values],
        "arrayminus": [0.0 if low is None else max(value - low, 0) * factor for value, low, _ in values],
        "color": INK,
        "thickness": 1.2,
        "width": 3,
    }


def interval_bars(estimates: Sequence[Estimate], name: str) -> dict[str, object]:
    """Error bars of estimates, in per cent where the quantity is a share."""
    return error_bars([(e.value, e.low, e.high) for e in estimates], 100.0 if name in SHARES else 1.0)


def scaled(name: str, value: float) -> float:
    """The value as drawn: shares in per cent."""
    return 100 * value if name in SHARES else value


def axis_title(name: str) -> str:
    """The name of a quantity for an axis."""
    return f"{capital(name)} (%)" if name in SHARES else capital(name)


def capital(name: str) -> str:
    """A name at the beginning of a title."""
    text = title(name)
    return text[0].upper() + text[1:]


def tick_step(count: int) -> int:
    """Steps between the labels of so many layers."""
    return 1 if count <= 12 else 2 if count <= 24 else 5


def line_style(name: str, number: int) -> tuple[dict[str, object], dict[str, object]]:
    """Line and marker of an order of removal: references in grey and black, methods by colour, dash and shape."""
    if name == "random":
        return {"color": GREY, "dash": "dot", "width": 2}, {"size": 4}
    if name == "greedy":
        return {"color": INK, "dash": "dash", "width": 2}, {"size": 4}
    line = {"color": COLOURS[number % len(COLOURS)], "dash": DASHES[number // len(COLOURS) % len(DASHES)], "width": 2}
    return line, {"size": 7, "symbol": MARKERS[number % len(MARKERS)]}


def log_if_wide(figure: go.Figure, name: str, values: Sequence[float], column: int | None = None) -> None:
    """A perplexity easily grows a hundredfold; on a linear axis everything else would lie flat on the ground."""
    if name not in SHARES and values and min(values) > 0 and max(values) > 20 * min(values):
        figure.update_yaxes(type="log", row=None if column is None else 1, col=column)
