"""The facts that have the value of a number, in its unit and rounded as it is written."""

from bisect import bisect_left, bisect_right

from agent.grounding.amounts import PERCENT, POINTS, TIMES, Amount, factors, physical
from agent.grounding.facts import Fact, Facts
from agent.grounding.numbers import Token
from tools.wording import SHARES

_SHARES = {*SHARES, "error"}


def equal(token: Token, facts: Facts) -> list[Fact]:
    """The facts that have the written value, and its interval if it has one."""
    if token.unit in POINTS:
        return []
    value = None if token.kind == "range" else Amount.written(token)
    bounds = (Amount.of(token.low), Amount.of(token.high)) if token.low and token.high else None
    bare = token.kind == "range" and not token.unit  # "the intervals (85.0 to 90.9) overlap"
    return [
        fact
        for factor in ((1.0, 100.0) if bare else factors(token))
        for fact in _of_size(facts, value, factor)
        if has_unit(token, fact)
        and (bounds is None or _between(fact, bounds, factor))
        and (token.margin is None or _within(fact, Amount.of(token.margin), factor))
    ]


def has_unit(token: Token, fact: Fact) -> bool:
    """Whether the fact can be written with the unit of the number."""
    if fact.path.endswith(" - 1"):  # 78 % faster
        return token.unit in PERCENT
    if token.unit in TIMES:
        return (fact.ratio and fact.name not in SHARES) or fact.name == "ratio"
    if token.unit in PERCENT:
        return fact.ratio or fact.name in _SHARES or (fact.name in ("fidelity", "kendall_w") and not token.spelt)
    return fact.unit.startswith(physical(token) or "")


def _between(fact: Fact, bounds: tuple[Amount, Amount], factor: float) -> bool:
    if fact.low is None or fact.high is None:
        return False
    return bounds[0].holds(fact.low, factor) and bounds[1].holds(fact.high, factor)


def _within(fact: Fact, margin: Amount, factor: float) -> bool:
    """Whether the interval of the fact is so far on either side; one that is longer on one side has its mean."""
    return fact.low is not None and fact.high is not None and margin.holds((fact.high - fact.low) / 2, factor)


def _of_size(facts: Facts, value: Amount | None, factor: float) -> list[Fact]:
    if value is None:
        return facts.numbers
    low, high = value.lowest / factor, value.highest / factor
    first, last = bisect_left(facts.sizes, (low, 0)), bisect_right(facts.sizes, (high, len(facts.numbers)))
    return [facts.numbers[i] for i in sorted(i for _, i in facts.sizes[first:last])]
