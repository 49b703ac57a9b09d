"""Pictures in Chinese: nothing of a picture is left in English but names that are the same in both."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sample_runs import story
from tools.figures import Picture, pictures, translated
from tools.figures.translating import _SHOWN
from tools.translation import words

SAME = re.compile(
    r"%\{.*?\}|<.*?>|nats|logit|unit|examples/s|\bms\b|SHAP|Fisher|Kendall|bert[.\w]*"  # names, units, modules of a model
)
ALL = [picture for run in story() for picture in pictures(run)]


def texts(value: Any, shown: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, key in _SHOWN)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each, shown)
    elif shown and isinstance(value, str):
        yield value


@pytest.mark.parametrize("picture", ALL, ids=lambda picture: picture.name)
def test_every_text_of_a_picture_is_translated(picture: Picture) -> None:
    shown = translated(picture, "zh")
    table = [*shown.table.header, *(cell for row in shown.table.rows for cell in row)]
    found = [shown.title, shown.about, *table, *texts(shown.figure.to_plotly_json())]
    assert [text for text in found if re.search("[a-z]{2}", SAME.sub("", text))] == []


def test_numbers_and_places_stay_and_the_english_picture_is_left_as_it_is() -> None:
    (scores,) = [each for each in ALL if each.name == "scores"]
    before = scores.figure.to_json()
    shown = translated(scores, "zh")
    assert scores.figure.to_json() == before
    assert [trace.y for trace in shown.figure.data] == [trace.y for trace in scores.figure.data]
    assert len(shown.table.rows) == len(scores.table.rows)
    assert translated(scores, "en") is scores


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("Mutual information  ·  nats", "互信息  ·  nats"),
        ("accuracy by mutual information", "准确率：互信息"),
        ("86.1 % (83.0 to 88.8)", "86.1 %（83.0 至 88.8）"),
        ("went to school in 1999 to 2003", "went to school in 1999 至 2003"),
        ("<b>nobody's word</b> {x}", "<b>nobody's word</b> {x}"),
    ],
)
def test_a_text_is_put_together_from_its_parts(english: str, chinese: str) -> None:
    assert words("zh")(english) == chinese
    assert words("en")(english) == english
