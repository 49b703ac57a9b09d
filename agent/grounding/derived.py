"""Differences, ratios and shares that an answer computes from two facts; a number is recomputed from each fitting pair.

Only pairs that measure the same thing count: two models, two layers, two methods or two runs that the sentence is about.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.grounding.amounts import PERCENT, POINTS, TIMES, Amount, physical
from agent.grounding.binding import all_of, right_sides
from agent.grounding.facts import ASIDE, Fact, Facts
from agent.grounding.words import pattern

if TYPE_CHECKING:
    from agent.grounding.check import Claim

_SPEED = {"latency_ms", "throughput"}
_COUNTS = {"layers_removed", "layers_kept"}


def derived(claim: "Claim", facts: Facts) -> tuple[float, Fact, Fact] | None:
    """The recomputed value and the two facts behind it, or None."""
    token = claim.token
    if token.kind != "quantity" or token.low is not None:
        return None
    if token.unit not in POINTS | TIMES and not pattern("compared").search(_around(claim)):
        return None
    amount = Amount.of(token.text)
    for first, second in _pairs(claim, facts):
        for value in _values(claim, first, second):
            if amount.holds(value):
                return value, first, second
    return None


def _around(claim: "Claim") -> str:
    """The clause of the number and its unit, without the numbers of others."""
    start, end = next((a, b) for a, b in claim.passage.clauses if a <= claim.token.start < b)
    return claim.passage.text[start:end]


def _values(claim: "Claim", first: Fact, second: Fact) -> Iterator[float]:
    a, b = first.value, second.value
    unit = claim.token.unit
    if first.name in _COUNTS:
        if unit in PERCENT and b:
            yield 100 * a / b
        return
    if unit in POINTS:
        yield 100 * abs(a - b)
    elif unit in TIMES:
        yield from (a / b, b / a) if a and b else ()
    elif unit in PERCENT:
        yield from (100 * abs(a - b) / b, 100 * abs(a - b) / a, 100 * a / b, 100 * b / a) if a and b else ()
    elif (physical(claim.token) or "") == first.unit[: len(physical(claim.token) or "")]:
        yield abs(a - b)


def _pairs(claim: "Claim", facts: Facts) -> Iterator[tuple[Fact, Fact]]:
    fitting = [fact for fact in facts.numbers if _about(claim, fact)]
    total = [fact for fact in facts.numbers if fact.name == "layers"]
    for i, first in enumerate(fitting):
        if first.name in _COUNTS:
            yield from ((first, each) for each in total if each.run == first.run)
            continue
        for second in fitting[i + 1 :]:
            if _same_kind(first, second) and _named_both(claim, first, second):
                yield first, second


def _about(claim: "Claim", fact: Fact) -> bool:
    """Whether the fact is of the kind that the sentence speaks of."""
    unit, name = claim.token.unit, claim.name
    if fact.name in _COUNTS:
        return unit in PERCENT and name is not None and name.near and fact.name in name.values
    if fact.named or fact.subject in ASIDE or fact.ratio:
        return False
    if unit in POINTS and (fact.unit or fact.name not in ("accuracy", "f1")):
        return False
    if name is None:
        return (
            unit in POINTS or physical(claim.token) is not None or (fact.name == "score" and claim.method is not None)
        )
    wanted = set(name.values) | (_SPEED if "speedup" in name.values else set())
    scored = fact.name == "score" and claim.method is not None
    if not (fact.name in wanted or scored):
        return False
    split = claim.split
    return split is None or fact.split is None or fact.split in split.values


def _same_kind(first: Fact, second: Fact) -> bool:
    return (first.name, first.unit, first.split) == (second.name, second.unit, second.split) and (
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
        method = claim.method
        near = {first.layer, second.layer} <= all_of("layer", claim.passage, claim.passages)
        return near and (method is None or first.methods[0] in method.values)
    if differing == ["methods"] and first.name != "score" and len(first.methods) == len(second.methods) == 1:
        near = {first.methods[0], second.methods[0]} <= all_of("method", claim.passage, claim.passages)
        return near and (claim.layer is None or first.layer in (None, *claim.layer.values))
    if differing != ["subject"] or not right_sides(claim.passage, of_dense=False):
        return False
    subjects = {first.subject, second.subject}
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
