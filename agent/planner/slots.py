"""The values in a message: which model, which data, how small. Wording lives in prompts/intents.yaml."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, Self

from agent.planner import numbers
from agent.planner.tables import pattern, tables
from analyzers.records import Record

TARGET = ("ratio", "keep", "max_drop", "drop")  # a plan has exactly one of these
MANY = ("models", "data", "runs", "methods", "excluded", "layers", "where")


class Slots(Record):
    """What a message names. None or empty: it says nothing about it."""

    models: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()  # methods that are not wanted
    layers: tuple[int, ...] = ()
    place: int | None = None  # in a ranking; 1: the second
    ratio: float | None = None
    keep: int | None = None
    max_drop: float | None = None  # fall of the metric, as a fraction
    drop: int | None = None  # layers to remove; becomes `keep` once the number of layers is known
    samples: int | Literal["auto"] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    heal_epochs: int | None = None
    budget: int | None = None
    seed: int | None = None
    heal: str | None = None
    quantize: str | None = None
    resume: bool | None = None
    from_scratch: str | None = None
    format: str | None = None  # of a report
    out: str | None = None  # where a report is wanted
    language: str | None = None  # of a report
    export: str | None = None  # format of a model for other programs
    precision: str | None = None
    when: str | None = None  # a stretch of time, in the words of `knowledge.filters.span`
    best: str | None = None  # a measurement, for the run that did best in it
    where: tuple[str, ...] = ()  # ranges of measurements

    @property
    def named(self) -> set[str]:
        """The slots that the message fills."""
        return {name for name in type(self).model_fields if getattr(self, name) not in (None, ())}

    @property
    def target(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in TARGET if getattr(self, name) is not None}

    def over(self, earlier: "Slots") -> Self:
        """These slots, filled up with earlier ones; a new target replaces the old one whole, and so does a new choice of methods."""
        replaced = {*(TARGET if self.target else ()), *(("excluded",) if self.methods else ())}
        kept = earlier.model_dump(exclude=replaced)
        return type(self)(**{**kept, **{name: getattr(self, name) for name in self.named}})

    @property
    def measures(self) -> list[str] | None:
        """The methods to analyze with, as the tool takes them; None: those that it uses by itself."""
        if not self.excluded:
            return ["all"] if "all" in self.methods else list(self.methods) or None
        groups = {"all": all_methods(), "main": tables()["main_methods"]}
        named = [each for name in self.methods or ("main",) for each in groups.get(name, [name])]
        left = [name for name in dict.fromkeys(named) if name not in self.excluded]
        return left or [name for name in groups["main"] if name not in self.excluded]

    def only(self, names: set[str]) -> Self:
        return type(self)(**{name: getattr(self, name) for name in names & self.named})


@cache
def all_methods() -> tuple[str, ...]:
    """Every method that the tables know by name. Reading the registry would import PyTorch only to read a message."""
    named = (rule["value"] for rule in tables()["slots"] if rule["slot"] == "methods")
    return tuple(name for name in dict.fromkeys(named) if name not in ("all", "main"))


def extract(message: str) -> tuple[Slots, str]:
    """The slots of a message, and the message with each replaced by its name, e.g. "make it <ratio_>".

    The underscore keeps the place of a slot apart from the same word in the message ("which methods", "list runs").
    """
    found: dict[str, Any] = {}
    methods: list[str] = []  # as they stand in the text
    text = message
    for rule, expression in _rules():
        while match := expression.search(text):
            name = rule["slot"]
            values = _values(rule, match)
            if name in MANY:
                found[name] = (*found.get(name, ()), *(value for value in values if value not in found.get(name, ())))
            elif values:
                found.setdefault(name, values[0])
            if name == "methods":
                methods[(place := text[: match.start()].count("<methods_>")) : place] = values
            verb = "<verb_> " if "verb" in match.groupdict() else ""
            text = f"{text[: match.start()]}{verb}<{name}_>{text[match.end() :]}"
    text, excluded = _exclude(text, methods)
    if excluded:
        found |= {"excluded": excluded, "methods": tuple(each for each in found["methods"] if each in methods)}
    return Slots(**found), text


def _exclude(text: str, methods: list[str]) -> tuple[str, tuple[str, ...]]:
    """Take the methods that are not wanted out of a text and out of the list of those that it names."""
    excluded: list[str] = []
    for expression in tables()["excluding"].values():
        while match := pattern(expression).search(text):
            first = text[: match.start()].count("<methods_>")
            last = first + match[0].count("<methods_>")
            excluded += methods[first:last]
            del methods[first:last]
            text = f"{text[: match.start()]}<excluded_>{text[match.end() :]}"
    return text, tuple(dict.fromkeys(excluded))


@cache
def _rules() -> list[tuple[dict[str, Any], re.Pattern[str]]]:
    number = numbers.expression()
    share = (
        rf"(?:{number}) ?(?:%|percent)|百分之(?:{number})|{'|'.join(sorted(tables()['shares'], key=len, reverse=True))}"
    )
    macros = {
        "{n}": rf"(?<![\d.a-z])(?P<n>{number})",
        "{m}": rf"(?P<m>{number})",
        "{c}": rf"(?:(?:of|is) )?(?P<c>{'|'.join(tables()['comparators'].values())})(?: than)?",
        "{share}": rf"(?<![\d.a-z])(?P<share>{share})",
    }
    rules = []
    for rule in tables()["slots"]:
        text = rule["pattern"]
        for macro, meaning in macros.items():
            text = text.replace(macro, meaning)
        # never inside a name that was put in for an earlier slot
        rules.append((rule, pattern(rf"(?<!<)(?:{text})(?![a-z_]*_>)")))
    return rules


def _share(text: str) -> float:
    known = tables()["shares"].get(text.lower())
    found = re.search(numbers.expression(), text, re.IGNORECASE)
    return float(known) if known or found is None else numbers.number(found[0]) / 100


def _values(rule: dict[str, Any], match: re.Match[str]) -> list[Any]:
    """What a match says, in the type of its slot; empty when it cannot be meant ("remove 100 % of the layers")."""
    how, groups = rule.get("as", "text"), match.groupdict()
    if how == "text" and "value" in rule:
        return [rule["value"]]
    if how == "count":
        if rule["slot"] not in MANY:
            return [int(numbers.number(groups.get("n") or groups["m"]))]
        spelt = re.compile(rf"(?<![a-z])(?:{numbers.expression()})", re.IGNORECASE)
        return [int(numbers.number(text)) for text in spelt.findall(match[0])]
    if how in ("removed share", "kept share"):
        kept = _share(groups["share"]) if how == "kept share" else 1 - _share(groups["share"])
        return [round(1 / kept, 4)] if kept > 0 else []
    readings: dict[str, Callable[[], Any]] = {
        "text": lambda: match[0],
        "number": lambda: numbers.number(groups["n"]),
        "drop": lambda: round(numbers.number(groups["n"]) / 100, 6),
        "drop value": lambda: _fraction(groups["n"], groups["p"]),
        "faster by": lambda: round(1 + numbers.number(groups["n"]) / 100, 4),
        "day": lambda: groups["w"],
        "path": lambda: groups["w"],
        "word": lambda: {"markdown": "md"}.get(groups["w"].lower(), groups["w"].lower()),
        "range": lambda: _range(rule["value"], groups),
        "ordinal": lambda: tables()["ordinals"][groups["w"].lower()],
    }
    if how.endswith(" file"):
        return [f"{how.removesuffix(' file')}:{match[0]}"]
    return [readings[how]()]


def _range(name: str, groups: dict[str, str | None]) -> str:
    """`accuracy>=0.85`, from "accuracy of at least 85 %"."""
    value = numbers.number(groups["n"] or "0")
    sign = next(sign for sign, words in tables()["comparators"].items() if re.search(words, groups["c"] or "", re.I))
    return f"{name}{sign}{round(value / 100, 6) if groups['p'] else value:g}"


def _fraction(number: str, percent: str | None) -> float:
    value = numbers.number(number)
    return round(value / 100, 6) if percent or value >= 1 else value
