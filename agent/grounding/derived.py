"""Differences, ratios and shares that an answer computes from two facts that measure the same thing."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import inf

from agent.grounding.amounts import PERCENT, POINTS, TIMES, Amount, factors, physical
from agent.grounding.facts import ASIDE, Fact, Facts
from agent.grounding.fitting import by_model, misfit
from agent.grounding.places import Place
from agent.grounding.words import pattern
from tools.wording import SHARES

_WENT = re.compile(
    r"(?:\b(?:to|from|at)|到|至|从|由|降为|升为)[\s*]*(?:about |around |roughly |约|大约)?$", re.IGNORECASE
)
_COUNTS = {"layers_removed", "layers_kept"}


def derived(place: Place, facts: Facts, stated: Sequence[Fact]) -> list[tuple[float, tuple[Fact, ...]]]:
    """The recomputed values that the number can be, each with the facts behind it.

    Args:
        place: of the number.
        facts: all of them; only those that the words speak of are compared.
        stated: facts that stand beside the number; they need no further words.
    """
    token = place.token
    if token.kind != "quantity" or token.low is not None:
        return []
    told = _may_be_computed(place)
    start, end = place.clause
    in_clause = told and (token.unit not in PERCENT or bool(pattern("compared").search(place.passage.text[start:end])))
    if not told and not token.unit:
        return []
    amount = Amount.written(token)
    faster = "speedup" in place.named("name")
    meant = set(place.measures)
    beside = [each for each in stated if not each.named or each.name == "right"]
    found: list[tuple[float, tuple[Fact, ...]]] = []
    for pair in combinations(beside, 2):
        if _alike(*pair):
            values = _values(place, *pair, faster) if in_clause else _shares(token.unit, *pair)
            found += [(value, pair) for value in values if _holds(amount, value, token.unit)]
    if place.says("each"):
        each_text = [(fact.value / fact.texts, (fact,)) for fact in beside if fact.name == "latency_ms" and fact.texts]
        found += [each for each in each_text if amount.holds(each[0])]
    if place.says("of_total") and token.unit in PERCENT:
        found += [each for each in _of_total(beside, facts) if amount.holds(each[0])]
    if place.says("recovered"):
        found += [(value, three) for value, three in _recovered(facts) if amount.holds(value)]
    if found or not told:
        return found
    costs: list[tuple[float, bool, int, float, tuple[Fact, ...]]] = []
    for pair in _pairs(place, facts, meant):
        fitting = [value for value in _values(place, *pair, faster) if _holds(amount, value, token.unit)]
        if fitting and (cost := misfit(place, pair)) < inf:
            costs.append((cost, pair[0].run != pair[1].run, len(costs), fitting[0], pair))
    return [(value, pair) for *_, value, pair in sorted(costs, key=lambda each: each[:3])]


def _shares(unit: str, first: Fact, second: Fact) -> Iterator[float]:
    """What part one is of the other: all that is computed where no word compares them."""
    small, large = sorted((abs(first.value), abs(second.value)))
    if small and unit in PERCENT:
        yield 100 * small / large


def _of_total(beside: Sequence[Fact], facts: Facts) -> Iterator[tuple[float, tuple[Fact, ...]]]:
    """What part the score of a layer is of all that its method gives."""
    for fact in beside:
        alike = [
            each
            for each in facts.numbers
            if each.name == "score" and (each.run, each.methods) == (fact.run, fact.methods)
        ]
        by_layer = {each.layer: each.value for each in alike}
        if fact.name == "score" and fact.layer in by_layer and (total := sum(by_layer.values())):
            yield 100 * fact.value / total, (fact,)


def _holds(amount: Amount, value: float, unit: str) -> bool:
    same = abs(value - 1) < 0.03 if unit in TIMES else abs(value) < 1e-9  # of two that do not differ
    return amount.holds(value) and not same


def _may_be_computed(place: Place) -> bool:
    token = place.token
    signed = token.unit in PERCENT and token.text[0] in "+-−"
    if token.unit in POINTS | TIMES or token.spelt or signed or place.passage.cell or place.says("recovered"):
        return True
    if place.says("each") and token.unit == "ms":
        return True
    if token.unit not in PERCENT and _WENT.search(place.ahead):
        return False
    if token.unit and token.unit not in PERCENT:
        return True
    if not token.unit and any(each.unit in POINTS for each in place.passage.tokens):
        return True
    if not token.unit:
        return bool(pattern("more_by").search(place.ahead) or pattern("more_than").match(place.behind))
    return place.says("compared")


def _values(place: Place, first: Fact, second: Fact, faster: bool) -> Iterator[float]:
    """The difference, multiple or share that two facts make; the original is what a change is a share of."""
    token, unit = place.token, place.token.unit
    a, b = first.value, second.value
    if first.name in _COUNTS:
        if unit in PERCENT and b:
            yield 100 * a / b
        if unit in TIMES and a:
            yield b / a
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
        if first.name in SHARES and any(each.unit in POINTS for each in place.passage.tokens):
            yield 100 * abs(a - b)  # "under 2 points (1.76 to be exact)"
        yield abs(float(f"{a:.5g}") - float(f"{b:.5g}")) * scale  # as a model computes it: of what it was shown


def _pairs(place: Place, facts: Facts, meant: set[str]) -> Iterator[tuple[Fact, Fact]]:
    layers, methods = place.named("layer"), place.named("method")
    groups: dict[tuple[object, ...], list[Fact]] = defaultdict(list)
    total = [fact for fact in facts.numbers if fact.name == "layers"]
    wanted = (
        meant
        | (SHARES if "score" in meant else set())
        | ({"latency_ms", "throughput"} if "speedup" in meant else set())
        | {"score"}
    )
    for fact in facts.numbers:
        if fact.name in _COUNTS:
            if fact.name in meant and (fact.subject not in ASIDE or by_model(place, fact) < inf):
                yield from ((fact, each) for each in total if each.run == fact.run)
            continue
        if fact.named or fact.ratio or (fact.layer is not None and fact.layer not in layers):
            continue
        if place.token.unit not in POINTS and meant and fact.name not in wanted:
            continue
        if fact.methods and fact.subject not in ASIDE and methods and not set(fact.methods) & set(methods):
            continue
        if fact.subject in ASIDE and by_model(place, fact) == inf:
            continue
        groups[(fact.name, fact.unit, fact.split, fact.texts)].append(fact)
    for group in groups.values():
        for first, second in combinations(group, 2):
            if one_respect(first, second):
                yield first, second
                if first.layer is not None:
                    yield second, first


def _alike(first: Fact, second: Fact) -> bool:
    same = all(getattr(first, each) == getattr(second, each) for each in ("name", "unit", "split", "texts"))
    return same and (first.run, first.path) != (second.run, second.path)


def one_respect(first: Fact, second: Fact) -> bool:
    """Whether the two measure the same thing of two models, layers or methods."""
    if not _alike(first, second):
        return False
    aside = first.subject in ASIDE or second.subject in ASIDE
    respects = ["layer", "subject"] if aside else ["layer", "methods", "subject"]
    if first.name == "score" and first.methods != second.methods:  # in different units
        return False
    differing = sum(getattr(first, each) != getattr(second, each) for each in respects)
    return differing == 1 or (differing == 0 and (first.run != second.run or first.removed != second.removed))


def _recovered(facts: Facts) -> Iterator[tuple[float, tuple[Fact, ...]]]:
    """What part of the loss by compression was made good, in percent."""
    by_subject: dict[tuple[object, ...], dict[str | None, Fact]] = defaultdict(dict)
    for fact in facts.numbers:
        if not fact.named and not fact.ratio and fact.subject not in ASIDE and fact.unit in ("", "nats"):
            by_subject[(fact.run, fact.name, fact.split)].setdefault(fact.subject, fact)
    for group in by_subject.values():
        if {"dense", "compressed", "healed"} <= set(group):
            dense, compressed, healed = (group[each] for each in ("dense", "compressed", "healed"))
            if dense.value != compressed.value:
                share = (healed.value - compressed.value) / (dense.value - compressed.value)
                yield 100 * share, (compressed, healed)
