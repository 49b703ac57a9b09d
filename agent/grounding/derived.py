"""Differences, ratios and shares that an answer computes from two facts; a number is recomputed from each fitting pair.

Only pairs that measure the same thing count: two models, two layers, two methods or two runs that the sentence is about.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from agent.grounding.amounts import PERCENT, POINTS, TIMES, Amount, factors, physical
from agent.grounding.binding import all_of, clause_of, right_sides
from agent.grounding.facts import ASIDE, Fact, Facts
from agent.grounding.numbers import Token
from agent.grounding.reading import Passage
from agent.grounding.words import pattern
from tools.wording import SHARES

if TYPE_CHECKING:
    from agent.grounding.check import Claim

_SPEED = {"latency_ms", "throughput"}
_WENT = re.compile(
    r"(?:\b(?:to|from|at)|到|至|从|由|降为|升为)[\s*]*(?:about |around |roughly |约|大约)?$", re.IGNORECASE
)
_COUNTS = {"layers_removed", "layers_kept"}


def derived(claim: "Claim", facts: Facts) -> tuple[float, Fact, Fact] | None:
    """The recomputed value and the two facts behind it, or None."""
    if not _may_be_computed(claim.token, claim.passage):
        return None
    return _first(claim.token, claim.passage, _pairs(claim, facts))


def recomputed(claim: "Claim", beside: Sequence[Fact]) -> tuple[float, Fact, Fact] | None:
    """What an answer computes from two numbers that stand beside it; both are facts of the same kind."""
    if not _may_be_computed(claim.token, claim.passage):
        return None
    name = claim.name if claim.name and claim.name.near and claim.token.unit not in POINTS else None
    meant = {*name.values, *(_SPEED if "speedup" in name.values else ())} if name else set()
    fitting = [fact for fact in beside if not fact.named and (not meant or fact.name in meant)]
    return _first(claim.token, claim.passage, (pair for pair in combinations(fitting, 2) if _same_kind(*pair)))


def _may_be_computed(token: Token, passage: Passage) -> bool:
    if token.kind != "quantity" or token.low is not None:
        return False
    signed = token.unit in PERCENT and token.text[0] in "+-−"
    if token.unit in POINTS | TIMES or token.spelt or signed or passage.cell:
        return True
    if token.unit not in PERCENT and _WENT.search(passage.text[: token.start]):
        return False
    start, end = clause_of(token, passage)
    return bool(pattern("compared").search(passage.text[start:end]))


def _first(token: Token, passage: Passage, pairs: Iterable[tuple[Fact, Fact]]) -> tuple[float, Fact, Fact] | None:
    amount = Amount.written(token)
    faster = any("speedup" in cue.values for cue in passage.cues if cue.dimension == "name")
    for first, second in pairs:
        for value in _values(token, first, second, faster):
            no_multiple = token.unit in TIMES and abs(value - 1) < 0.03  # of two that are the same
            if amount.holds(value) and not no_multiple:
                return value, first, second
    return None


def _values(token: Token, first: Fact, second: Fact, faster: bool) -> Iterator[float]:
    """The difference, multiple or share that two facts make; the original is what a change is a share of."""
    a, b = first.value, second.value
    unit = token.unit
    if first.name in _COUNTS:
        if unit in PERCENT and b:
            yield 100 * a / b
        return
    if second.subject == "dense":
        a, b = b, a
    if unit in POINTS:
        yield 100 * abs(a - b)
    elif unit in TIMES and a and b:
        yield from (a / b,) if first.layer != second.layer else (a / b, b / a)
    elif unit in PERCENT and a and b:
        yield from (100 * abs(a - b) / a, 100 * b / a)
        if first.name in SHARES:  # "1.8 % lower" of two percentages
            yield 100 * abs(a - b)
        if faster or "dense" not in (first.subject, second.subject):
            yield from (100 * abs(a - b) / b, 100 * a / b)
    elif (physical(token) or "") == first.unit[: len(physical(token) or "")]:
        scale = factors(token)[0]
        yield abs(a - b) * scale
        yield abs(float(f"{a:.5g}") - float(f"{b:.5g}")) * scale  # as a model computes it: of what it was shown


def _pairs(claim: "Claim", facts: Facts) -> Iterator[tuple[Fact, Fact]]:
    fitting = [fact for fact in facts.numbers if _about(claim, fact)]
    total = [fact for fact in facts.numbers if fact.name == "layers"]
    for i, first in enumerate(fitting):
        if first.name in _COUNTS:
            yield from ((first, each) for each in total if each.run == first.run)
            continue
        for second in fitting if first.layer is not None else fitting[i + 1 :]:
            if _same_kind(first, second) and _named_both(claim, first, second):
                yield first, second


def _about(claim: "Claim", fact: Fact) -> bool:
    """Whether the fact is of the kind that the sentence speaks of."""
    unit, name = claim.token.unit, claim.name
    if fact.name in _COUNTS:
        of_result = fact.subject not in ASIDE
        return unit in PERCENT and of_result and name is not None and name.near and fact.name in name.values
    if fact.named or fact.ratio or (claim.cited and fact.run and fact.run not in claim.cited):
        return False
    if fact.texts and claim.texts and ("one" if fact.texts == 1 else "several") not in claim.texts.values:
        return False
    if fact.subject in ASIDE and not (claim.size and of_size(fact, claim.size.values)):
        return False
    if unit in POINTS and (fact.unit or fact.name not in ("accuracy", "f1")):
        return False
    if name is None or (unit in POINTS and set(name.values) == {"loss"}):  # "3 points of loss"
        return (
            unit in POINTS or physical(claim.token) is not None or (fact.name == "score" and claim.method is not None)
        )
    wanted = set(name.values) | (_SPEED if "speedup" in name.values else set())
    scored = fact.name == "score" and claim.method is not None
    if not (fact.name in wanted or scored):
        return False
    split = claim.split
    return split is None or fact.split is None or fact.split in split.values


def _of_layers(claim: "Claim") -> tuple[int, int] | None:
    """Of "layer 5 is 3.6 times as important as layer 0" the two, in this order."""
    named = [cue for cue in claim.passage.cues if cue.dimension == "layer"]
    behind = [cue for cue in named if cue.start >= claim.token.end]
    return (named[0].values[0], behind[0].values[0]) if behind and behind[0] is not named[0] else None


def of_size(fact: Fact, sizes: Iterable[tuple[str, int]]) -> bool:
    """Whether the fact is of a model with, or without, as many layers as the answer says."""
    if fact.removed is None:
        return False
    return bool({("removed", len(fact.removed)), ("kept", fact.kept)} & set(sizes))


def _same_kind(first: Fact, second: Fact) -> bool:
    alike = [getattr(first, each) == getattr(second, each) for each in ("name", "unit", "split", "texts")]
    return all(alike) and (
        first.run,
        first.path,
    ) != (second.run, second.path)


def _named_both(claim: "Claim", first: Fact, second: Fact) -> bool:
    """Whether the two differ in one respect, and the answer is about both sides of it."""
    differing = [
        each for each in ("subject", "layer", "methods", "run") if getattr(first, each) != getattr(second, each)
    ]
    if differing == ["run"] or (differing == ["subject", "run"] and "dense" not in (first.subject, second.subject)):
        return {first.run, second.run} <= all_of("run", claim.passage, claim.passages)
    if differing == ["layer"]:
        if claim.method is not None and first.methods[0] not in claim.method.values:
            return False
        if claim.token.unit in TIMES and (sides := _of_layers(claim)):  # the one that the sentence is about, the other
            return (first.layer, second.layer) == sides
        return {first.layer, second.layer} <= all_of("layer", claim.passage, claim.passages)
    if differing == ["methods"] and first.name != "score" and len(first.methods) == len(second.methods) == 1:
        near = {first.methods[0], second.methods[0]} <= all_of("method", claim.passage, claim.passages)
        return near and (claim.layer is None or first.layer in (None, *claim.layer.values))
    if differing != ["subject"] or not right_sides(claim.passage, claim.token, of_dense=False):
        return False
    subjects = {first.subject, second.subject}
    if subjects == {"alternative", "dense"}:
        return True
    meant = all_of("subject", claim.passage, claim.passages) - set(ASIDE)
    # said of one side, the other is the dense model; said of none, any two
    return (
        subjects <= meant
        if len(meant & subjects) == 2
        else "dense" in subjects
        and (
            not meant - {"dense"}
            or bool(subjects & (meant - {"dense"}))
            or not meant & {"healed", "compressed", "quantized"}
        )
    )
