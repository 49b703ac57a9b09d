"""Pictures in another language: every text that is drawn or stands in the table, by the list `prompts/pictures.LANGUAGE.yaml`.

The English text is the key, as in gettext, so that a new picture needs nothing to be drawn: what the list does not know stays as it is.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import plotly.graph_objects as go
import yaml

from prompts import load
from tools.figures.of_run import Picture
from tools.figures.values import Values

_SHOWN = {"text", "name", "ticktext", "tickvals", "categoryarray", "x", "y", "hovertemplate", "customdata"}
_NAMED = {"text", "hovertemplate"}  # of a picture whose categories are those of the data
_OF_DATA = {"classes"}
_INTERVAL = re.compile(r"(?<=\d) to (?=[-\d])")
_GAP = re.compile(r"\\\{(\w+)\\\}")
Say = Callable[[str], str]


def translated(picture: Picture, language: str) -> Picture:
    """The picture in a language: `en`, or one that has a list.

    Raises:
        OSError: there is no list of that language.
    """
    if language == "en":
        return picture
    say = _words(language)
    of_data = picture.name in _OF_DATA
    figure = _walked(picture.figure.to_plotly_json(), say, _NAMED if of_data else _SHOWN, False)
    rows = picture.table.rows
    table = Values(
        [say(each) for each in picture.table.header],
        rows if of_data else [[say(cell) for cell in row] for row in rows],
    )
    return replace(picture, title=say(picture.title), about=say(picture.about), figure=go.Figure(figure), table=table)


def _walked(value: Any, say: Say, keys: set[str], shown: bool) -> Any:
    """A copy of a figure; a text is translated where it stands, at any depth, under one of the keys."""
    if isinstance(value, dict):
        return {key: _walked(each, say, keys, key in keys) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(each, say, keys, shown) for each in value]
    return say(value) if shown and isinstance(value, str) else value


@cache
def _words(language: str) -> Say:
    found = yaml.safe_load(load(f"pictures.{language}.yaml"))
    texts: dict[str, str] = found["texts"]
    patterns = [
        (re.compile(_GAP.sub(r"(?P<\1>.+?)", re.escape(key)), re.DOTALL), text)
        for key, text in found["patterns"].items()
    ]

    @lru_cache(maxsize=4096)
    def say(given: str) -> str:
        bare = given.strip()
        if bare in texts:
            return given.replace(bare, texts[bare])
        lower = bare[:1].lower() + bare[1:]  # a name at the beginning of a title
        if lower in texts:
            return given.replace(bare, texts[lower])
        for pattern, text in patterns:
            if match := pattern.fullmatch(given):
                return text.format(**{name: say(part) for name, part in match.groupdict().items()})
        return _INTERVAL.sub(found["to"], given)

    return say
