"""Differences, ratios and shares that an answer computes from two facts that measure the same thing."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import inf

from agent.grounding.amounts import PERCENT, POINTS, TIMES, Amount, factors, physical
from agent.grounding.completed import wholes
from agent.grounding.differences import counts_examples, is_more
from agent.grounding.facts import ASIDE, Fact, Facts, record_of
from agent.grounding.fitting import by_model, misfit
from agent.grounding.numbers import Token
from agent.grounding.places import Place
from agent.grounding.words import pattern
from tools.wording import SHARES

_WENT = re.compile(
    r"(?:\b(?:to|from|at)|到|至|从|由|降为|升为)[\s*]*(?:about |around |roughly |约|大约)?$", re.IGNORECASE
)
_COUNTS = {"layers_removed", "layers_kept"}
_KEPT = re.compile(r"\b(?:ke(?:ep|pt)|retain|hold|preserv)\w*[ *a-z]{0,20}$|保留[^，。]{0,8}$", re.IGNORECASE)
_TOLD = 5  # so many digits are not met by chance
_COUNTED = {"right", "wrong", "seconds"}
Derived = tuple[float, tuple[Fact, ...]]  # what is computed, and from what


def derived(place: Place, facts: Facts, stated: Sequence[Fact]) -> list[Derived]:
    """The recomputed values that the number can be, each with the facts behind it.

    Args:
        place: of the number.
        facts: all of them; only those that the words speak of are compared.
        stated: facts that stand beside the number; they need no further words.
    """
    token = place.token
    if token.kind != "quantity" or token.low is not None or token.margin is not None:
        return []
    told = _may_be_computed(place)
    in_clause = told and (token.unit not in PERCENT or place.clause_says("compared"))
    amount = Amount.written(token)
    faster = "speedup" in place.named("name")
    beside = [each for each in stated if not each.named or each.name in _COUNTED]
    found = [each for each in _of_parts(place, facts, stated) if amount.holds(each[0])]
    if not told and not token.unit:
        return found
    for pair in combinations(beside, 2):
        if _alike(*pair):
            values = _values(place, *pair, faster) if in_clause else _shares(token.unit, *pair)
            found += [(value, pair) for value in values if _holds(amount, value, token.unit)]
    if place.says("each") and token.unit:
        found += [each for each in _of_each(place, facts) if amount.holds(each[0])]
    if place.says("width") and token.unit in POINTS:
        found += [each for each in _widths(beside or facts.numbers) if amount.holds(each[0])]
    if place.says("recovered"):
        found += [(value, three) for value, three in _recovered(facts) if amount.holds(value)]
    if found or not told:
        return found
    costs: list[tuple[float, bool, int, float, tuple[Fact, ...]]] = []
    by = {method for each in beside for method in each.methods} if not place.named("method") else set()
    for pair in _pairs(place, facts, set(place.measures)):
        fitting = [value for value in _values(place, *pair, faster) if _holds(amount, value, token.unit)]
        if not fitting:
            continue
        if by and pair[0].methods and pair[0].subject not in ASIDE and not by & set(pair[0].methods):
            continue  # of another method than what stands beside it
        if any(_of_another(place, each, beside) for each in pair):
            continue  # of another candidate
        if (cost := misfit(place, pair)) < inf:
            costs.append((cost, pair[0].run != pair[1].run, len(costs), fitting[0], pair))
    return [(value, pair) for *_, value, pair in sorted(costs, key=lambda each: each[:3])]


def _of_another(place: Place, fact: Fact, beside: Sequence[Fact]) -> bool:
    """Whether a fact is of a candidate that nothing names, where the same of other candidates stands beside the number."""
    if fact.subject != "alternative" or by_model(place, fact, specific=True) < inf:
        return False
    others = {record_of(each) for each in beside if each.name == fact.name and each.subject == fact.subject}
    return bool(others) and record_of(fact) not in others


def _of_parts(place: Place, facts: Facts, stated: Sequence[Fact]) -> Iterator[Derived]:
    """What part something is of its whole, what several parts make together, and what the others make."""
    token = place.token
    share = token.unit in PERCENT and place.says("share") and not is_more(place)
    if not (share or place.says("together") or place.says("rest")) or token.unit in POINTS | TIMES:
        return
    for whole, parts in wholes(facts.numbers):
        if place.says("together") and misfit(place, (whole.model_copy(update={"named": False}),)) < inf:
            yield whole.value * factors(token)[0], (whole,)
        known = [each for each in parts if any(_same(each, other) for other in stated)]
        together = range(1, 2 if share else len(known) + 1)
        sets = [tuple(known[:n]) for n in together] + [(each,) for each in known[1:]]
        sets += [(each,) for each in parts if each.stage in place.named("stage")]
        if whole.name in ("score", "parameters"):
            sets += [tuple(each for each in parts if each.layer in cue.values) for cue in place.cues("layer")]
            sets += [(parts[0],)] if parts[0].layer is None else []
        for some in filter(None, sets):
            if misfit(place, some[:1]) < inf or all(each in known for each in some):
                value = sum(each.value for each in some)
                if share:
                    yield 100 * value / whole.value, some
                elif len(some) > 1 or place.says("rest"):
                    scale = factors(token)[0]
                    yield from ((value * scale, some), ((whole.value - value) * scale, some))


def _same(first: Fact, second: Fact) -> bool:
    about = [(each.name, each.value, each.layer, each.methods, each.stage) for each in (first, second)]
    return about[0] == about[1]


def _widths(stated: Sequence[Fact]) -> Iterator[Derived]:
    """How wide an interval is, and how far it reaches on either side."""
    for fact in stated:
        if fact.name in SHARES and fact.subject not in ASIDE and fact.low is not None and fact.high is not None:
            yield from ((100 * (fact.high - fact.low) / n, (fact,)) for n in (1, 2))


def _epochs(fact: Fact, facts: Facts) -> float:
    """How many the time was for."""
    counts = [each for each in facts.numbers if each.name == "epochs" and each.run == fact.run]
    return next((each.value for each in counts if (".healing" in each.path) == (".healing" in fact.path)), 0)


def _of_each(place: Place, facts: Facts) -> Iterator[Derived]:
    """The time for one text of several at once, and what one of all is of them."""
    for fact in facts.numbers:
        if fact.name == "examples" and fact.split and place.token.unit in POINTS:
            yield 100 / fact.value, (fact,)
        if fact.name == "seconds" and (count := _epochs(fact, facts)) and place.says("each_epoch"):
            yield fact.value / count, (fact,)
        if fact.name == "latency_ms" and fact.texts and (physical(place.token) or "") == fact.unit:
            without_texts = fact.model_copy(update={"texts": None})
            if misfit(place, (without_texts,)) < inf:
                yield fact.value / fact.texts, (fact,)


def _shares(unit: str, first: Fact, second: Fact) -> Iterator[float]:
    """What part one is of the other: all that is computed where no word compares them."""
    small, large = sorted((abs(first.value), abs(second.value)))
    if small and unit in PERCENT:
        yield 100 * small / large


def _holds(amount: Amount, value: float, unit: str) -> bool:
    same = abs(value - 1) < 0.03 if unit in TIMES else abs(value) < 1e-9  # of two that do not differ
    return amount.holds(value) and not same


def _may_be_computed(place: Place) -> bool:
    token = place.token
    signed = token.unit in PERCENT and token.text[0] in "+-−"
    if token.unit in POINTS | TIMES or token.spelt or signed or place.passage.cell or place.says("recovered"):
        return True
    if _WENT.search(place.ahead):
        return token.unit in PERCENT and place.clause_says("change")
    if token.unit and token.unit not in PERCENT:
        return True
    if not token.unit and any(each.unit in POINTS for each in place.passage.tokens):
        return True
    if counts_examples(place) and (place.clause_says("compared") or place.clause_says("recovered")):
        return True
    if not token.unit and len(re.sub(r"\D", "", token.text).strip("0")) >= _TOLD:
        return True
    if not token.unit:
        return bool(pattern("more_by").search(place.ahead) or pattern("more_than").match(place.behind))
    labelled = re.search(r"[:：][ *]*$", place.ahead) and not re.match(r" ?(?:of\b|的)", place.behind)
    if labelled and not is_more(place) and not place.clause_says("change"):
        return False  # a label says that it is a value
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
        yield 100 * b / a
        if _KEPT.search(place.ahead):
            return
        yield 100 * abs(a - b) / a
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
    if counts_examples(place):
        right = [fact for fact in facts.numbers if fact.name == "right" and fact.subject not in ASIDE]
        yield from (pair for pair in combinations(right, 2) if one_respect(*pair))
        return
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


def written(token: Token, fact: Fact) -> Fact:
    """The fact with its value as it is written: of that an answer computes."""
    plain = re.sub(r"[^\d.]", "", token.text)
    scale = factors(token)[0]
    usual = token.kind == "quantity" and not token.spelt and plain.count(".") < 2 and bool(plain.strip("."))
    return fact.model_copy(update={"value": float(plain) / scale}) if usual else fact


def is_enumerated(place: Place, facts: Facts) -> bool:
    """Whether a small number is that of the things that are named behind it: 4 steps: a, b, c and d; or of some methods."""
    if re.match(r" of (?:the |all )?\w+ (?:importance )?methods\b", place.behind) and place.token.text.isdigit():
        return any(fact.name == "methods" and int(place.token.text) <= fact.value for fact in facts.numbers)
    counted = re.match(r"[^:：.;。；\d(（]{0,40}[:：]\s*(.+)", place.behind)
    if not counted or place.token.unit or not place.token.text.isdigit():
        return False
    listed = re.sub(r"[(（][^)）]*[)）]", "", counted[1])
    return len(re.split(r",\s*and\b|[,、，]|\band\b|[和与]", listed)) == int(place.token.text) > 1


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
    return differing == 1 or (
        differing == 0 and ((first.run, first.removed, first.epoch) != (second.run, second.removed, second.epoch))
    )


def _recovered(facts: Facts) -> Iterator[Derived]:
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
