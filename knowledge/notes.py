"""What methods and results mean, when they mislead, and their sources: `notes/*.md`, English and Chinese."""

from functools import cache
from pathlib import Path

import yaml

from analyzers.errors import UsageError
from analyzers.records import Record

FOLDER = Path(__file__).with_suffix("")


class Note(Record):
    name: str
    title: str
    title_zh: str
    text: str
    text_zh: str
    sources: tuple[str, ...]  # addresses of the papers
    of_method: bool = True  # of an importance method; otherwise of what is done or shown with them

    @property
    def source(self) -> str:
        return self.sources[0]


def names() -> list[str]:
    """All notes there are, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def methods() -> list[str]:
    """The notes that are about an importance method, by its id."""
    return [name for name in names() if note(name).of_method]


@cache
def note(name: str) -> Note:
    """One note; lines of a paragraph are joined.

    Raises:
        UsageError: there is no note of that name.
    """
    if name not in names():
        raise UsageError(f"no note {name!r}; there are: {', '.join(names())}")
    _, front, body = (FOLDER / f"{name}.md").read_text(encoding="utf-8").split("---\n", 2)
    english, chinese = body.split("## zh\n", 1)
    return Note(name=name, text=_joined(english, " "), text_zh=_joined(chinese, ""), **yaml.safe_load(front))


def _joined(text: str, between: str) -> str:
    return "\n\n".join(between.join(paragraph.splitlines()) for paragraph in text.strip().split("\n\n"))
