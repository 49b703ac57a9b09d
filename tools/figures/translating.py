"""Pictures in another language: every text that is drawn or stands in the table."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go

from tools.figures.of_run import Picture
from tools.figures.values import Values
from tools.translation import words

_SHOWN = {"text", "name", "ticktext", "tickvals", "categoryarray", "x", "y", "hovertemplate", "customdata"}
_NAMED = {"text", "hovertemplate"}  # of a picture whose categories are those of the data
_OF_DATA = {"classes"}


def translated(picture: Picture, language: str) -> Picture:
    """The picture in a language that `tools.translation` knows."""
    if language == "en":
        return picture
    say = words(language)
    of_data = picture.name in _OF_DATA
    figure = _walked(picture.figure.to_plotly_json(), say, _NAMED if of_data else _SHOWN, False)
    header, rows = picture.table
    table = Values([say(each) for each in header], rows if of_data else [[say(cell) for cell in row] for row in rows])
    return replace(picture, title=say(picture.title), about=say(picture.about), figure=go.Figure(figure), table=table)


def _walked(value: Any, say: Callable[[str], str], keys: set[str], shown: bool) -> Any:
    """A copy of a figure; a text is translated where it stands, at any depth, under one of the keys."""
    if isinstance(value, dict):
        return {key: _walked(each, say, keys, key in keys) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_walked(each, say, keys, shown) for each in value]
    return say(value) if shown and isinstance(value, str) else value
