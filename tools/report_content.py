"""What a report is made of, whatever file it becomes: sections of facts, tables and charts, each with its run."""

from dataclasses import dataclass, field
from typing import Any

from analyzers.records import Estimate, LayerScore, Measurement
from tools.wording import interval, number

WIDTH = 40  # characters of the longest bar


@dataclass(frozen=True)
class Fact:
    """One sentence and the run that it comes from."""

    text: str
    run: str | None = None


@dataclass(frozen=True)
class Facts:
    items: list[Fact]


@dataclass(frozen=True)
class Table:
    header: list[str]
    rows: list[list[str]]
    run: str | None = None
    caption: str = ""
    marked: int | None = None  # row to point out


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bars:
    """A chart of text: what a figure shows, for files that hold no figures."""

    title: str
    name: str  # of the quantity, for its format
    unit: str
    rows: list[Bar]

    def lines(self) -> list[str]:
        """Full up to the lower end of the interval, half dark to the value, light to the upper end."""
        top = max((max(row.value, row.high or row.value) for row in self.rows), default=0.0)
        labels = max((len(row.label) for row in self.rows), default=0)
        drawn = []
        for row in self.rows:
            low, high = (row.value if row.low is None else row.low), (row.value if row.high is None else row.high)
            full, half, light = (_cells(end, top) for end in (low, row.value, high))
            bar = "█" * full + "▓" * (half - full) + "░" * (light - half)
            between = interval(row.low, row.high, self.name)
            shown = number(row.value, self.name, self.unit) + (f" ({between})" if between else "")
            drawn.append(f"{row.label:<{labels}}  {bar:<{WIDTH}}  {shown}")
        return drawn


def _cells(value: float, top: float) -> int:
    return max(0, round(WIDTH * value / top)) if top > 0 else 0


@dataclass(frozen=True)
class Chart:
    title: str
    figure: Any  # plotly's Figure
    bars: list[Bars] = field(default_factory=list)
    run: str | None = None


@dataclass(frozen=True)
class Explanation:
    """What a method or a result means; folded up in a page."""

    title: str
    text: str
    sources: list[str]


@dataclass(frozen=True)
class Command:
    text: str
    run: str


Block = Facts | Table | Chart | Explanation | Command


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: list[Block]


@dataclass(frozen=True)
class Tile:
    """One number of the summary."""

    label: str
    value: str
    note: str
    run: str


@dataclass(frozen=True)
class Document:
    title: str
    created: str
    headline: str
    tiles: list[Tile]
    sections: list[Section]


def bar(label: str, found: Estimate | Measurement | LayerScore) -> Bar:
    return Bar(label, found.value, found.low, found.high)
