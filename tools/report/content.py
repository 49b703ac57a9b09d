"""What a report is made of, whatever file it becomes: sections of facts, tables and charts, each with its run."""

from dataclasses import dataclass, field
from typing import Any, Literal

LONG = 36  # characters of a cell; longer ones are broken
WIDE = 115  # characters of a row

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Fact:
    """One sentence and the run that it comes from."""

    text: str
    run: str | None = None


@dataclass(frozen=True)
class Tile:
    """One number of the summary."""

    label: str
    value: str
    note: str
    run: str


@dataclass(frozen=True)
class Narrative:
    """What was found, told in a few paragraphs."""

    text: str  # paragraphs, with an empty line between two
    written_by: str  # "the templates", or the language model
    note: str = ""  # why it was not written by whom it was asked of


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

    @property
    def dense(self) -> bool:
        """Whether it is too wide for letters of the usual size."""
        cells = zip(*([self.header, *self.rows] if self.rows else [self.header]), strict=True)
        return len(self.header) > 7 or sum(min(LONG, max(map(len, column))) for column in cells) > WIDE


@dataclass(frozen=True)
class Chart:
    """A figure of one run; `name` and run tell it from all others."""

    name: str
    title: str
    figure: Any  # plotly's Figure
    about: str = ""  # what there is to see
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
    run: str | None = None


Block = Facts | Table | Chart | Explanation | Command


@dataclass(frozen=True)
class Section:
    """Its title is in prompts/report.yaml, by its id."""

    id: str
    blocks: list[Block]


@dataclass(frozen=True)
class Document:
    title: str
    created: str
    language: Language
    headline: str
    narrative: Narrative | None
    tiles: list[Tile]
    sections: list[Section]
    words: dict[str, Any] = field(default_factory=dict)  # fixed words, in the language

    def charts(self) -> list[Chart]:
        return [block for section in self.sections for block in section.blocks if isinstance(block, Chart)]
