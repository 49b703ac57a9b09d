"""The words of an answer that say what its numbers are about; the patterns stand in prompts/grounding.yaml."""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal, NamedTuple

import yaml

from agent.grounding.numbers import NAMED
from analyzers.run_ids import RUN_ID
from knowledge.notes import methods as noted_methods
from knowledge.notes import names as notes
from knowledge.notes import note
from prompts import load
from tools.translation import words as translated
from tools.wording import title

Dimension = Literal[
    "name", "subject", "split", "method", "layer", "run", "say", "texts", "epoch", "size", "set", "stage"
]
_TABLES: dict[Dimension, str] = {
    "name": "names",
    "subject": "subjects",
    "split": "splits",
    "method": "methods",
    "say": "layers",
    "texts": "texts",
    "stage": "stages",
}
_EPOCH = re.compile(
    rf"\bepochs? #?(?P<after>\d+)\b(?!\.\d)(?: (?:and|to|through) (?P<second>\d+)\b(?!\.\d))?|\b(?P<word>{'|'.join(NAMED)}|\d+(?:st|nd|rd|th)) epoch\b|第 ?(?P<zh>\d+|[一二三四五六七八九十]) ?轮",
    re.IGNORECASE,
)
_FROM_TO = re.compile(
    r"(?P<first>from|从|由) ?(?=[\d.,]+ ?[^\s\d]{0,12}[^.;。；\d]{0,24}?(?:\[[^\]]*\] ?)?(?P<second>\bto|到|至|升到|降到|降至) ?(?:about |around |roughly |just |only |~|约|大约)?[\d])",
    re.IGNORECASE,
)
_ARROW = re.compile(r"(?<![\d.,])(?=\d[\d.,]*\s?[^\s\d]{0,8}\s*(?P<second>→|->|=>|⇒|➔|➜))")


class Cue(NamedTuple):
    """One word or group of words, and what it names."""

    dimension: Dimension
    values: tuple[Any, ...]
    start: int
    end: int
    forward: bool = False  # governs only what follows it

    def within(self, other: "Cue") -> bool:
        """Whether it is a part of the other's words."""
        return other.start <= self.start and self.end <= other.end and self.end - self.start < other.end - other.start


def table(name: str) -> Any:
    return _tables()[name]


@cache
def pattern(name: str) -> re.Pattern[str]:
    """A single pattern of the tables."""
    return re.compile(str(table(name)), re.IGNORECASE | re.ASCII)


def cues(text: str, methods: Iterable[str], names: Iterable[str]) -> list[Cue]:
    """All that the text names, in its order, apart from layers.

    Args:
        text: of an answer.
        methods: ids of the methods of the facts.
        names: of the facts that have no words in the tables, e.g. of settings; they are named by their own words.
    """
    found: list[Cue] = []
    for dimension, which in _TABLES.items():
        patterns = _table(which)
        if dimension == "method":
            patterns = (*patterns, *_methods(tuple(sorted(methods))))
        if dimension == "name":
            patterns = (*patterns, *_own(tuple(sorted(names))))
        found += _matches(dimension, text, patterns)
    named = [cue for cue in found if cue.dimension == "method"]
    found = [cue for cue in found if cue.dimension != "name" or not any(map(cue.within, named))]  # parameter influence
    found += [cue._replace(forward=True) for cue in _matches("subject", text, _table("forward"))]
    found += [Cue("run", (each[0],), each.start(), each.end()) for each in RUN_ID.finditer(text)]
    for each in _EPOCH.finditer(text):
        written = [group.lower() for group in each.groups() if group]
        numbers = tuple(NAMED[one] if one in NAMED else int(re.sub(r"\D", "", one)) for one in written)
        found.append(Cue("epoch", numbers, each.start(), each.end()))
    small = ("healed", "compressed", "quantized", "model", "exported")
    for each in _ARROW.finditer(text):
        found.append(Cue("subject", ("dense", "compressed"), each.start(), each.start(), True))
        found.append(Cue("subject", small, each.start("second"), each.end("second"), True))
    for each in _FROM_TO.finditer(text):
        # what is healed or compressed further comes from the compressed model
        found.append(Cue("subject", ("dense", "compressed"), each.start("first"), each.end("first"), True))
        found.append(Cue("subject", small, each.start("second"), each.end("second"), True))
    return sorted(dict.fromkeys(found), key=lambda cue: cue.start)


def _matches(
    dimension: Dimension, text: str, patterns: tuple[tuple[re.Pattern[str], tuple[Any, ...]], ...]
) -> Iterator[Cue]:
    """The matches of the patterns; of two that overlap the longer one."""
    found = [
        Cue(dimension, values, match.start(), match.end())
        for expression, values in patterns
        for match in expression.finditer(text)
    ]
    for cue in found:
        if not any(map(cue.within, found)):
            yield cue


@cache
def _tables() -> dict[str, Any]:
    return dict(yaml.safe_load(load("grounding.yaml")))


@cache
def _table(which: str) -> tuple[tuple[re.Pattern[str], tuple[Any, ...]], ...]:
    return tuple((re.compile(text, re.IGNORECASE | re.ASCII), tuple(values)) for text, values in table(which))


@cache
def _methods(ids: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], tuple[Any, ...]], ...]:
    known = dict.fromkeys([*ids, *noted_methods()])
    consensus = (re.compile(r"consensus|overall|综合|共识", re.IGNORECASE), ("consensus",))
    return (*((_word(words), (name,)) for name in known for words in _words(name)), consensus)


def _words(name: str) -> set[str]:
    words = {name, name.replace("_", " "), title(name), translated("zh")(title(name))}
    if name in notes():
        explained = note(name)
        words |= {explained.title, explained.title_zh}
        words |= {re.split(r" ?[(（]", each)[0] for each in (explained.title, explained.title_zh)}
    return words


@cache
def _own(names: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], tuple[Any, ...]], ...]:
    """Names without words in the tables, by the words that they are made of."""
    known = {each for which in _TABLES.values() for _, values in _table(which) for each in values}
    spelt = {name: name.replace("_", " ").replace(".", " ") for name in names if name and name not in known}
    # beside its method, "conductance completeness error" is the completeness error
    short = {name: re.sub(rf"^(?:{'|'.join(noted_methods())}) ", "", words) for name, words in spelt.items()}
    return tuple((_word(words), (name,)) for each in (spelt, short) for name, words in each.items())


def _word(text: str) -> re.Pattern[str]:
    escaped = re.escape(text).replace(r"\ ", r"[\s_-]+")
    return re.compile(rf"(?<![a-zA-Z]){escaped}s?(?![a-zA-Z])", re.IGNORECASE)
