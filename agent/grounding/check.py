"""Is every number of an answer backed by a fact of the turn, and is it said of the right thing?

A number is bound by its value: to the facts that have it, and to what can be computed from two of them. It is refuted by
contradiction: the words around it speak of something else, or two numbers would fit better the other way round.
"""

import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from math import inf
from typing import NamedTuple

from agent.grounding.amounts import Amount, factors
from agent.grounding.derived import derived, is_enumerated, one_respect, written
from agent.grounding.directions import against_direction
from agent.grounding.facts import ASIDE, Fact, Facts, record_of
from agent.grounding.fitting import misfit, of_each_method
from agent.grounding.layers import check_layers, with_sets, wrong_rankings
from agent.grounding.numbers import Token
from agent.grounding.places import Place
from agent.grounding.quotes import quoted
from agent.grounding.reading import read
from agent.grounding.values import equal, has_unit
from agent.grounding.words import pattern
from analyzers.records import Record

MARGIN = 1
_TO = re.compile(r"\s*(?:to|–|-|—|~|至|到|and)\s*")
_NOWHERE = "no result holds it"
_ELSEWHERE = "the results hold it, but not of what it is said of here"
_EXCHANGED = "it would fit what another number is said of, and that one would fit here"
_BACKWARDS = "the two numbers go the other way than the words say"


class Verified(Record):
    """A number of an answer and the fact behind it: what a reader is shown on hover."""

    number: str
    start: int  # where it stands in the answer
    end: int
    value: float | None = None  # None for a text, and for a list of layers
    unit: str = ""
    low: float | None = None
    high: float | None = None
    run: str | None = None
    path: str = ""  # in the record of the run, or in the result of a tool; both facts where it was recomputed


class Unsupported(Record):
    """A number of an answer that no fact gives, or not of what it is said of."""

    number: str
    context: str  # the words around it
    reason: str = "no result holds it"


class Checked(NamedTuple):
    verified: tuple[Verified, ...]
    unsupported: tuple[Unsupported, ...]


class Reading(NamedTuple):
    """What a number can be: the facts that have its value, or of which it can be computed, and how badly the best fit."""

    place: Place
    result: Verified | str
    candidates: tuple[tuple[Fact, ...], ...] = ()
    cost: float = inf
    best: tuple[Fact, ...] = ()


def check(answer: str, facts: Facts) -> Checked:
    """The numbers of the answer that are backed, each with its fact, and those that are not."""
    passages = with_sets(read(answer, facts), facts)
    places = [Place(token, passage, passages) for passage in passages for token in passage.tokens]
    readings = [_direct(place, facts) for place in places]
    readings = [_beside(each, readings, facts) for each in readings]
    readings = [_against(each, readings, facts) for each in readings]
    readings = [_computed(each, readings, facts) for each in readings]
    readings = [_beside(each, readings, facts) if _is_cue(each.place) else each for each in readings]
    rankings = wrong_rankings(passages, facts)
    exchanged = _exchanged(readings)
    backwards = {passage.start: list(against_direction(passage)) for passage in passages}
    verified: list[Verified] = []
    unsupported: list[Unsupported] = []
    for i, each in enumerate(readings):
        token, passage = each.place.token, each.place.passage
        result = _EXCHANGED if i in exchanged else each.result
        result = _BACKWARDS if token in backwards[passage.start] else result
        result = rankings.get(passage.start, result) if token is passage.tokens[0] else result
        start, end = passage.start + token.start, passage.start + token.end
        if isinstance(result, str):
            around = " ".join(answer[max(0, start - 30) : end + 20].split())
            number = answer[start:end] if token.spelt else token.text.strip()
            unsupported.append(Unsupported(number=number, context=around, reason=result))
        else:
            verified.append(result.model_copy(update={"number": answer[start:end], "start": start, "end": end}))
    return Checked(tuple(verified), tuple(unsupported))


def _direct(place: Place, facts: Facts) -> Reading:
    """By the facts that have the value."""
    if place.token.kind in ("layers", "list"):
        found = check_layers(place, facts)
        return Reading(place, found if isinstance(found, str) else _of_text(found.run, found.path))
    candidates = tuple((fact,) for fact in equal(place.token, facts))
    cost, best = min(((misfit(place, each), i) for i, each in enumerate(candidates)), default=(inf, 0))
    if cost == inf and place.token.kind == "range" and not place.says("bounds"):
        return _both(place, facts)
    if cost == inf and not place.token.low and place.says("ends") and (ends := _ends(place, facts)):
        return Reading(place, _of_fact(ends[0]))
    if cost == inf and (interval := _as_interval(place, facts)):
        return interval
    if cost == inf and (alone := _without_unit(place)):
        return _direct(alone, facts)._replace(place=place)
    if cost == inf and (layer := _as_layer(place)):
        return _direct(layer, facts)
    if cost < inf and of_each_method(place, *candidates[best], [fact for (fact,) in candidates]):
        return Reading(place, _of_fact(*candidates[best]), candidates, cost, candidates[best])
    told = any(not fact.named for (fact,) in candidates)
    return Reading(place, _ELSEWHERE if told else _NOWHERE)


def _both(place: Place, facts: Facts) -> Reading:
    """Of "between 60.0 and 76.6 %" the two values, where they are the interval of none."""
    token = place.token
    ends = [
        token._replace(kind="quantity", text=str(each).lstrip("-−+"), low=None, high=None, hedge=hedge)
        for each, hedge in ((token.low, "over"), (token.high, "under"))
    ]
    places = [Place(each, place.passage, place.passages) for each in ends]
    for each in places:
        each.given = not place.named("method")  # from the lowest to the highest of all
    found = [_direct(each, facts) for each in places]
    return next((each for each in found if isinstance(each.result, str)), found[0])._replace(place=place)


def _as_interval(place: Place, facts: Facts) -> Reading | None:
    """Of "87.0 % to 92.3 % for the dense model" the fact whose interval it is."""
    numbers = [each for each in place.passage.tokens if each.kind == "quantity" and not each.low]
    for low, high in pairwise(numbers):
        if place.token in (low, high) and _TO.fullmatch(place.passage.text[low.body : high.start]):
            text = place.passage.text[low.start : high.end]
            both = Token("range", low.start, high.end, text, high.unit, low.text, high.text)
            for fact in equal(both, facts):
                if misfit(Place(both, place.passage, place.passages), (fact,)) < inf:
                    return Reading(place, _of_fact(fact))
    return None


def _without_unit(place: Place) -> Place | None:
    """Of "0.881, 69.6 MB" the first number, whose unit is not that of the second."""
    token = place.token
    if not token.unit or token.spelt or not place.passage.text[token.body - 1 : token.body].isdigit():
        return None
    return Place(token._replace(unit=""), place.passage, place.passages)


def _ends(place: Place, facts: Facts) -> list[Fact]:
    """The facts an end of whose interval the number is."""
    amount = Amount.written(place.token)
    with_end = [
        fact
        for fact in facts.numbers
        if any(
            amount.holds(end, factor)
            for factor in factors(place.token)
            for end in (fact.low, fact.high)
            if end is not None
        )
    ]
    return [fact for fact in with_end if has_unit(place.token, fact) and misfit(place, (fact,)) < inf]


def _as_layer(place: Place) -> Place | None:
    """Of "remove layer 4 first, then 1, then 2" the further layers."""
    token = place.token
    before = any(each.kind == "layers" and each.start < token.start for each in place.passage.tokens)
    alone = not token.unit and token.text.isdigit() and len(token.text) < 3
    goes_on = pattern("goes_on").search(place.ahead) and pattern("stops").match(place.behind)
    said = any(
        cue.end <= token.start and not place.passage.text[cue.end : token.start].strip() for cue in place.cues("say")
    )
    if before and alone and (goes_on or said):
        return Place(token._replace(kind="layers", layers=(int(token.text),)), place.passage, place.passages)
    return None


def _beside(reading: Reading, readings: Sequence[Reading], facts: Facts) -> Reading:
    """Once more, where a number beside it says which of the models that were considered is meant."""
    if not isinstance(reading.result, str):
        return reading
    counts = any(cue.start == reading.place.token.start for cue in reading.place.cues("size"))  # of layers
    near = _is_beside if counts else _in_line
    facts_beside = [fact for each in readings if near(each.place, reading.place) for fact in each.best]
    reading.place.known |= {record_of(fact) for fact in facts_beside if fact.subject in ASIDE}
    return _direct(reading.place, facts) if reading.place.known else reading


def _against(reading: Reading, readings: Sequence[Reading], facts: Facts) -> Reading:
    """Once more, where it stands against another number: it is of the same, but for one thing, and of that of another."""
    place = reading.place
    if not isinstance(reading.result, str) or place.token.kind != "quantity":
        return reading
    fitting: list[tuple[float, str, Fact]] = []
    for other in readings:
        if other.place.passage is place.passage and len(other.best) == 1 and other.place.token in place.against:
            for fact in equal(place.token, facts):
                if one_respect(other.best[0], fact):
                    alone = place.set_against(other.place.token, other.best[0], fact)
                    cost = misfit(alone, (fact,))
                    fitting.append((cost, fact.path, fact))
    if not fitting:
        return reading
    cost, _, best = min(fitting, key=lambda each: each[:2])
    return Reading(place, _of_fact(best), ((best,),), cost, (best,)) if cost < inf else reading


def _computed(reading: Reading, readings: Sequence[Reading], facts: Facts) -> Reading:
    """By what can be computed from two facts, or by a text, where no fact has the value."""
    place = reading.place
    if not isinstance(reading.result, str):
        return reading
    if place.token.kind not in ("layers", "list"):
        beside = [each for each in readings if each is not reading and _is_beside(each.place, place)]
        alone = [each for each in beside if len(each.best) == 1]
        stated = [each.best[0] for each in alone] + [written(each.place.token, each.best[0]) for each in alone]
        if is_enumerated(place, facts):
            return reading._replace(result=_of_text(None, "the answer"))
        if found := derived(place, facts, stated):
            value, behind = found[0]
            candidates = tuple(each for _, each in found)
            cost = misfit(place, behind)
            return Reading(place, _of_facts(value, *behind), candidates if cost < inf else (), cost, behind)
    if quote := quoted(place.token, place.passage, facts.quotes):
        return Reading(place, _of_text(quote.run, quote.path))
    return reading


def _in_line(other: Place, place: Place) -> bool:
    return other.passage.line == place.passage.line


def _is_beside(other: Place, place: Place) -> bool:
    """In the same row, or in the paragraph, the list or the table that it follows."""
    if place.passage.cell:
        return _in_line(other, place)
    return 0 <= place.passage.paragraph - other.passage.paragraph <= 1


def _exchanged(readings: Sequence[Reading]) -> set[int]:
    """The numbers that would fit better the other way round, two by two."""
    found: set[int] = set()
    known = [
        i for i, each in enumerate(readings) if len(each.best) == 1 and each.candidates and not _is_cue(each.place)
    ]
    for i, j in combinations(known, 2):
        one, two = readings[i], readings[j]
        if _against_time(one, two):
            found |= {i, j}
        now = one.cost + two.cost
        first, second = one.place.token, two.place.token
        if now <= MARGIN or first.unit != second.unit or ("." in first.text) != ("." in second.text):
            continue
        there, here = _best(two.place, one), _best(one.place, two)
        if there <= two.cost and here <= one.cost and there + here + MARGIN < now:  # better here, and no worse there
            found |= {i, j}
    return found


def _against_time(one: Reading, two: Reading) -> bool:
    """Whether the number of a later epoch stands before that of an earlier one, and none is said to be of an epoch."""
    (first, *_), (second, *_) = one.best, two.best
    if one.place.passage is not two.place.passage or first.epoch is None or second.epoch is None:
        return False
    same = (first.run, first.name, first.split) == (second.run, second.name, second.split)
    return same and first.epoch > second.epoch and not one.place.named("epoch")


def _is_cue(place: Place) -> bool:
    """Whether the number says what others are about: a number of layers, an epoch."""
    start = place.token.start
    return any(cue.dimension in ("size", "epoch") and cue.start <= start < cue.end for cue in place.passage.cues)


def _best(place: Place, other: Reading) -> float:
    """How badly the number of another place would fit here."""
    return min(misfit(place, behind) for behind in other.candidates)


def _of_text(run: str | None, path: str) -> Verified:
    return Verified(number="", start=0, end=0, run=run, path=path)


def _of_fact(fact: Fact) -> Verified:
    return Verified(number="", start=0, end=0, value=fact.value, unit=fact.unit, low=fact.low, high=fact.high,
                    run=fact.run, path=fact.path)  # fmt: skip


def _of_facts(value: float, *facts: Fact) -> Verified:
    first = facts[0]
    both = ", ".join(each.path if each.run == first.run else f"{each.run} {each.path}" for each in facts)
    return Verified(number="", start=0, end=0, value=value, run=first.run, path=both)
