"""Is every number of an answer backed by a fact of the turn?

Facts are the results of the tools and the records of the runs that they name. A number of the answer is supported when
a fact gives it at the precision that it is written with, as it stands or as a percentage. Names and addresses are no
numbers.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from analyzers.records import Record, Run

_NAMES = re.compile(
    r"https?://\S+"
    r"|(?:train|analysis|plan|compression|evaluation|export)-[a-z0-9]{6}\b"
    r"|\b(?:demo|csv|jsonl|parquet|hf|gguf|amazon):[^\s`,;)]+"
    r"|(?<![\w.])(?:~|\.{0,2})/[\w./-]*\w"
    r"|(?<![\w.])[a-z_.][\w./-]*[-/_][\w./-]*\w"  # bert-base-uncased, org/model-2, but not 3.1e-7 or 12ms/text
    r"|\b[a-z]+\d[\w.]*"  # f1, smollm2
    r"|\b(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,64}\b",  # checksums
    re.IGNORECASE | re.ASCII,
)
_CONSTANT = re.compile(r"95 ?%(?= ?(?:confidence|interval|CI\b|置信|区间))", re.IGNORECASE)
_LIST_MARK = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
_NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[-+−])?(?P<whole>\d{1,3}(?:,\d{3})+|\d+)(?P<decimals>\.\d+)?(?P<exponent>e[-+]?\d+)?"
    r"(?: ?(?P<unit>%|percent(?:age)?\b|points?\b|pp\b|个百分点|k\b|thousand\b|M\b|million\b|G\b|billion\b|万|亿))?",
    re.IGNORECASE | re.ASCII,
)
# "89.9 % [87.1 to 92.5]" and "87.1 to 92.5 %" are percentages throughout
_PERCENT_SPANS = re.compile(
    r"(?:%|percent) ?(?P<interval>[\[(（][^\])）]{1,40}[\])）])"
    r"|(?P<range>\d[\d.]* ?(?:to|and|–|-|至|到) ?)(?=\d[\d.]* ?(?:%|percent))",
    re.IGNORECASE,
)
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "g": 1e9, "billion": 1e9, "万": 1e4, "亿": 1e8}


class Unsupported(Record):
    """A number of an answer that no fact gives."""

    number: str
    context: str  # the words around it


def check(answer: str, facts: Iterable[float]) -> list[Unsupported]:
    """The numbers of the answer that no fact supports; an empty list for a grounded answer."""
    known = [abs(fact) for fact in facts]
    text = _blank(_LIST_MARK, _blank(_CONSTANT, _blank(_NAMES, answer)))
    percent = [match.span(match.lastgroup or 0) for match in _PERCENT_SPANS.finditer(text)]
    missing = []
    for match in _NUMBER.finditer(text):
        share = any(start <= match.start() < end for start, end in percent)
        if not any(_supports(fact, match, share) for fact in known):
            around = answer[max(0, match.start() - 30) : match.end() + 20]
            missing.append(Unsupported(number=match[0].strip(), context=" ".join(around.split())))
    return missing


def facts_of(texts: Iterable[str], runs: Iterable[Run] = ()) -> list[float]:
    """All numbers in tool results and in the records of runs."""
    found: list[float] = []
    for text in texts:
        found += _numbers_of_text(text)
    for run in runs:
        found += _numbers(run.model_dump(mode="json"))
    return found


def _supports(fact: float, match: re.Match[str], share: bool) -> bool:
    """Whether the fact, rounded as the number is written, is that number; the sign is left to the words of a sentence.

    Args:
        fact: its absolute value.
        match: the number.
        share: it stands in an interval of percentages, so it is one without saying so.
    """
    written = float(match["whole"].replace(",", "") + (match["decimals"] or "") + (match["exponent"] or ""))
    digits = len(match["decimals"] or ".") - 1
    exponent = int(match["exponent"][1:]) if match["exponent"] else 0
    step = 10.0 ** (exponent - digits)  # the last digit that is written
    unit = (match["unit"] or "").lower()
    scale = _SCALES.get(unit, 1.0)
    factors = (1.0, 100.0) if share or (unit and unit not in _SCALES) else (1.0,)
    # a little more than half of the last digit: ties may be rounded either way
    return any(abs(fact * factor / scale - written) <= 0.5001 * step for factor in factors)


def _blank(pattern: re.Pattern[str], text: str) -> str:
    return pattern.sub(lambda match: " " * len(match[0]), text)


def _numbers_of_text(text: str) -> Iterator[float]:
    try:
        yield from _numbers(json.loads(text))
    except ValueError:
        yield from _numbers(text)


def _numbers(value: Any) -> Iterator[float]:
    match value:
        case bool() | None:
            return
        case int() | float():
            yield float(value)
        case str():
            yield from _written(value)
        case dict():
            for key, each in value.items():
                yield from _numbers(key)
                yield from _numbers(each)
        case list() | tuple():
            for each in value:
                yield from _numbers(each)


def _written(text: str) -> Iterator[float]:
    """The numbers in a text of a fact, e.g. of a note; "22 M" is both 22 and 22,000,000, "5 %" both 5 and 0.05."""
    text = _blank(_NAMES, text)  # the digits of a checksum or an id would support almost any small number
    for found in re.finditer(r"\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?", text, re.IGNORECASE):
        yield float(found[0].replace(",", ""))
    for match in _NUMBER.finditer(text):
        unit = (match["unit"] or "").lower()
        if unit:
            value = float(match["whole"].replace(",", "") + (match["decimals"] or ""))
            yield value * _SCALES[unit] if unit in _SCALES else value / 100
