"""Is every number of an answer backed by a fact of the turn, and is it said of the right thing?"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from agent.grounding.amounts import ORDINAL, PERCENT, POINTS, TIMES, Amount, factors, physical
from agent.grounding.binding import Bound, all_of, bind, cited_runs, clause_of, right_sides
from agent.grounding.derived import derived, of_size, recomputed
from agent.grounding.facts import ASIDE, MEASURED, Fact, Facts
from agent.grounding.layers import check_layers, wrong_rankings
from agent.grounding.numbers import Token
from agent.grounding.quotes import quoted
from agent.grounding.reading import Passage, read
from agent.grounding.words import Dimension, pattern
from analyzers.records import Record
from tools.wording import SHARES

_OF_MANY = re.compile(r"(?:\d|\*)(?: ?(?:of|out of) ?(?:the |its |all )?|/)\**$")


_DIFFERENCE = re.compile(
    r"(?:\b(?:by|sav(?:e|es|ed|ing)(?: of)?|(?:reduction|difference|gap|gain|drop|decrease|increase) of)|减少了?|降低了?|下降了?|增加了?|提升了?|提高了?|(?<!至)少|差)[\s*]*(?:about |around |roughly |some |only |just |约|大约)?$",
    re.IGNORECASE,
)  # what follows is no value but the difference of two
_MORE = re.compile(
    r"[ *]*(?:lower|higher|less|more|fewer|smaller|larger|bigger|faster|slower|quicker|better|worse|reduction|decrease|increase|drop|improvement|saved)\b",
    re.IGNORECASE,
)
_RATIO = re.compile(r"\bratio[\s*]*(?:of|is|was|[:=])?[\s*]*$", re.IGNORECASE)
_LABEL = re.compile(r"(?:\blayers? ?#?\d+|\d ?层)\**[ :：(（=]*$", re.IGNORECASE)
_MANY_OF = re.compile(r"\**\s*(?:of|out of|/) ?(?:the |its |all )?\**\d")


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


class Claim(NamedTuple):
    """A number with all that the answer says of it."""

    token: Token
    passage: Passage
    passages: Sequence[Passage]
    name: Bound | None
    subject: Bound | None
    split: Bound | None
    method: Bound | None
    layer: Bound | None
    texts: Bound | None
    epoch: Bound | None
    size: Bound | None
    cited: set[str]  # runs


def check(answer: str, facts: Facts) -> Checked:
    """The numbers of the answer that are backed, each with its fact, and those that are not."""
    passages = read(answer, facts)
    rankings = wrong_rankings(passages, facts)
    found = [
        (passage, token, _support(token, passage, passages, facts)) for passage in passages for token in passage.tokens
    ]
    verified: list[Verified] = []
    unsupported: list[Unsupported] = []
    for passage, token, result in found:
        result = rankings.get(passage.start, result) if token is passage.tokens[0] else result
        start, end = passage.start + token.start, passage.start + token.end
        if isinstance(result, str):  # perhaps computed from the numbers beside it
            near = [
                each
                for other, operand, each in found
                if isinstance(each, Fact)
                and other.paragraph == passage.paragraph
                and operand is not token
                and (not passage.cell or other.line == passage.line)
            ]
            computed = recomputed(_claim(token, passage, passages), near) if near else None
            result = _computed(*computed) if computed else result
        if isinstance(result, str):
            around = " ".join(answer[max(0, start - 30) : end + 20].split())
            number = answer[start:end] if token.spelt else token.text.strip()
            unsupported.append(Unsupported(number=number, context=around, reason=result))
        else:
            backing = _of_fact(result) if isinstance(result, Fact) else result
            verified.append(backing.model_copy(update={"number": answer[start:end], "start": start, "end": end}))
    return Checked(tuple(verified), tuple(unsupported))


def _of_fact(fact: Fact) -> Verified:
    return Verified(number="", start=0, end=0, value=fact.value, unit=fact.unit, low=fact.low, high=fact.high,
                    run=fact.run, path=fact.path)  # fmt: skip


def _computed(value: float, first: Fact, second: Fact) -> Verified:
    both = f"{first.path}, {second.path}" if first.run == second.run else f"{first.path}, {second.run} {second.path}"
    return Verified(number="", start=0, end=0, value=value, run=first.run, path=both)


def _support(token: Token, passage: Passage, passages: Sequence[Passage], facts: Facts) -> Fact | Verified | str:
    """The fact behind a number, or why there is none."""
    if (
        passage.cell
        and token.text == passage.text.strip()
        and token.text.isdigit()
        and bind("say", token, passage, passages)
    ):
        token = token._replace(kind="list", layers=(int(token.text),))  # a cell below "most important layer"
    if token.kind in ("layers", "list"):
        found = check_layers(token, passage, passages, facts)
        if not isinstance(found, str):
            return Verified(number=token.text, start=0, end=0, run=found.run, path=found.path)
        quote = quoted(token, passage, facts.quotes)
        return Verified(number=token.text, start=0, end=0, run=quote.run, path=quote.path) if quote else found
    claim = _claim(token, passage, passages)
    facts_of_value = _equal(token, facts)
    if (fitting := [fact for fact in facts_of_value if _fits(claim, fact)]) and _of_each_method(claim, fitting):
        return fitting[0]
    if sized := _size_beside(token, passage, facts):
        return sized
    if (computed := derived(claim, facts)) is not None:
        return _computed(*computed)
    if quote := quoted(token, passage, facts.quotes):
        return Verified(number=token.text, start=0, end=0, run=quote.run, path=quote.path)
    if facts_of_value and not all(fact.named for fact in facts_of_value):
        return "the results hold it, but not of what it is said of here"
    return "no result holds it"


def _size_beside(token: Token, passage: Passage, facts: Facts) -> Fact | None:
    """Of "5 layers: 88.4 %" the fact that the percentage is, if it is of a model of that size; it is checked by itself."""
    sizes = [
        value for cue in passage.cues if cue.dimension == "size" and cue.start == token.start for value in cue.values
    ]
    values = [each for each in passage.tokens if each.kind == "quantity" and (each.unit or "." in each.text)]
    start, end = clause_of(token, passage)
    values = [each for each in values if start <= each.start < end] or values
    equal = (fact for each in values for fact in _equal(each, facts))
    return next((fact for fact in equal if of_size(fact, sizes)), None)


def _claim(token: Token, passage: Passage, passages: Sequence[Passage]) -> Claim:
    return Claim(
        token,
        passage,
        passages,
        name=_name(token, passage, passages),
        subject=bind("subject", token, passage, passages),
        split=bind("split", token, passage, passages),
        method=bind("method", token, passage, passages),
        layer=bind("layer", token, passage, passages),
        texts=bind("texts", token, passage, passages),
        epoch=bind("epoch", token, passage, passages),
        size=bind("size", token, passage, passages),
        cited=cited_runs(token, passage, passages),
    )


def _name(token: Token, passage: Passage, passages: Sequence[Passage]) -> Bound | None:
    bound = bind("name", token, passage, passages)
    best = any(cue.values == ("best_epoch",) for cue in passage.cues)
    if token.unit in ORDINAL or token.unit == "last":
        of_epoch = bound is not None and bool({"epochs", "epoch", "best_epoch"} & set(bound.values))
        return Bound(("best_epoch",) if of_epoch else ("last_rank",) if token.unit == "last" else ("rank",), True)
    if bound and "epoch" in bound.values and "epochs" not in bound.values and bound.near and best:
        return Bound(("best_epoch",), True)
    if token.unit in ("s", "sec", "secs", "second", "seconds", "秒"):
        return Bound(("seconds",), True)
    if _OF_MANY.search(passage.text[: token.start]):
        return Bound(("layers",), True)
    if bound and "layers" in bound.values and (said := _just_said(token, passage)):  # "removes 3 layers"
        return Bound((f"layers_{said}",), True)
    if bound and "examples" in bound.values and "throughput" in all_of("name", passage, passages):  # texts each second
        return Bound((*bound.values, "throughput"), bound.near)
    if (
        not token.unit
        and _MANY_OF.match(passage.text[token.end :])
        and not (bound and bound.near and "layers" not in bound.values)
    ):
        return Bound(("layers_removed", "layers_kept"), True)
    if bound and bound.values == ("rank",) and not bound.near and token.low:
        return None  # what has an interval is measured; the rank that is named stands behind it
    return bound


def _just_said(token: Token, passage: Passage) -> str | None:
    before = [cue for cue in passage.cues if cue.dimension == "say" and cue.end <= token.start]
    if not before or passage.text[before[-1].end : token.start].strip(" *"):
        return None
    return str(before[-1].values[0]) if before[-1].values[0] in ("removed", "kept") else None


def _equal(token: Token, facts: Facts) -> list[Fact]:
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
        if _has_unit(token, fact)
        and (bounds is None or _between(fact, bounds, factor))
        and (token.margin is None or _within(fact, Amount.of(token.margin), factor))
    ]


def _has_unit(token: Token, fact: Fact) -> bool:
    if token.unit in TIMES:
        return fact.ratio
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


def _fits(claim: Claim, fact: Fact) -> bool:
    """Whether what the answer says of the number is true of the fact."""
    return all(_reasons(claim, fact))


def _reasons(claim: Claim, fact: Fact) -> Iterator[bool]:
    passage, passages = claim.passage, claim.passages
    if not fact.ratio and fact.name not in ("score", "max_logit_difference"):
        ahead, behind = passage.text[: claim.token.start], passage.text[claim.token.end :]
        yield not (_DIFFERENCE.search(ahead) or _MORE.match(behind))
    yield _named(claim, fact)
    if fact.subject in ASIDE:
        yield _aside_named(claim, fact)
    elif _RATIO.search(passage.text[: claim.token.start]) and not fact.ratio and claim.token.unit not in TIMES:
        yield fact.name == "speedup"
    elif fact.ratio:
        yield right_sides(passage, claim.token)
        if claim.token.unit not in TIMES and fact.name != "speedup":
            around = [passage, *(passages[above] for above in passage.above if passage.cell)]
            yield any(pattern("kept").search(each.text) for each in around)
    elif claim.subject is not None and fact.subject not in (None, "model") and fact.name != "texts":
        meant = _meant("subject", claim.subject, claim) - set(ASIDE)
        if meant == {"compressed", "healed", "quantized"} and _healing_beside(passage, passages):
            meant = {"compressed"}
        yield not meant or fact.subject in meant
    if claim.split is not None and fact.split is not None:
        yield fact.split in _meant("split", claim.split, claim)
    if fact.methods and fact.subject not in ASIDE:
        yield _of_methods(claim, fact)
    if fact.layer is not None and fact.name != "parameters":
        layers = _meant("layer", claim.layer, claim)
        if pattern("rest").search(passage.text[clause_of(claim.token, passage)[0] : claim.token.start]):
            yield fact.layer not in layers
            layers = set()
        yield fact.layer in layers if layers else fact.name != "score" or claim.layer is not None
    elif fact.layer is None and claim.layer and _LABEL.search(passage.text[: claim.token.start]):
        yield False  # "layer 5 (0.498)" is said of that layer
    if fact.texts is not None and claim.texts is not None and fact.name != "texts":
        yield ("one" if fact.texts == 1 else "several") in claim.texts.values
    if fact.epoch is not None and claim.epoch is not None and claim.epoch.near and fact.name != "epoch":
        yield fact.epoch in claim.epoch.values
    if fact.subject == "alternative" and fact.removed and claim.layer and claim.layer.near:
        yield bool(set(fact.removed) & set(claim.layer.values))
    if fact.removed is not None and claim.size is not None and claim.size.near:
        yield of_size(fact, claim.size.values)
    if fact.run is not None:
        yield not claim.cited or fact.run in claim.cited


def _meant(dimension: Dimension, bound: Bound | None, claim: Claim) -> set[Any]:
    """What a number may be of: what governs it in its clause, else anything that is named around it."""
    if bound is None:
        return set()
    if bound.near or set(bound.values) <= set(ASIDE):
        return set(bound.values)
    return set(bound.values) | all_of(dimension, claim.passage, claim.passages, forward=False)


def _aside_named(claim: Claim, fact: Fact) -> bool:
    """Whether the answer says that it speaks of what was considered, or measured on the way."""
    if fact.subject in all_of("subject", claim.passage, claim.passages):
        return True
    if fact.subject == "epoch":
        told = "epochs" in all_of("name", claim.passage, claim.passages) and "." in claim.token.text
        return claim.epoch is not None or told
    if fact.subject == "expected" or fact.name in ("layers_removed", "layers_kept"):
        return False
    if fact.methods and claim.method and claim.method.near and fact.methods[0] in claim.method.values:
        return fact.subject == "alternative"
    if fact.subject == "alternative" and claim.size and of_size(fact, claim.size.values):
        return True
    said = {cue.values for cue in claim.passage.cues if cue.dimension == "layer"}
    return fact.removed is not None and any(set(layers) == set(fact.removed) for layers in said)


def _healing_beside(passage: Passage, passages: Sequence[Passage]) -> bool:
    """Whether "compressed" is set against "healed" in the same place; alone it is what the compression handed over."""
    near = [passage, *(passages[above] for above in passage.above)]
    subjects = [cue.values for each in near for cue in each.cues if cue.dimension == "subject" and not cue.forward]
    return any("healed" in values and "compressed" not in values for values in subjects)


def _named(claim: Claim, fact: Fact) -> bool:
    """Whether the answer says of the number what the fact measures."""
    name, method, token = claim.name, claim.method, claim.token
    few = len(token.text.strip("0")) < _TELLING
    bare = token.kind == "quantity" and few and not token.unit and "." not in token.text and token.low is None
    of_layer = claim.layer is not None and "." in token.text
    scored = fact.name == "score" and (of_layer if method is None else method.near or not bare)
    if name is None:
        return scored or not ((fact.named and few) or bare or fact.name in _ESSENTIAL)
    if fact.named:
        measured = {value for value in all_of("name", claim.passage, claim.passages) if value in MEASURED}
        told = fact.name in name.values and (not fact.of or not measured or fact.of in measured)
        return told or not (few or name.near)
    if fact.name in name.values or (set(name.values) == {"score"} and fact.name in SHARES):  # "it scores 88 %"
        return True
    if scored and set(name.values) <= {"score", "loss"}:  # "ablation raises the loss by ..."
        return True
    return not name.near and not set(name.values) & _ESSENTIAL and (scored or not (bare or fact.name in _ESSENTIAL))


def _of_methods(claim: Claim, fact: Fact) -> bool:
    method = claim.method
    if len(fact.methods) == 2:
        named = all_of("method", claim.passage, claim.passages)
        if method and method.near and len(set(method.values)) > 1:
            named = set(method.values)
        return set(fact.methods) <= named and (method is None or bool(set(fact.methods) & set(method.values)))
    if fact.methods == ("consensus",):
        return method is None or "consensus" in method.values
    return fact.methods[0] in method.values if method else fact.name == "score" or fact.name not in _ESSENTIAL


def _of_each_method(claim: Claim, fitting: Sequence[Fact]) -> bool:
    """Whether a number that is said of several methods is that of each, or a tau that of each two of them."""
    said = set(claim.method.values) - {"consensus"} if claim.method is not None and claim.method.near else set()
    alone = {fact.methods[0] for fact in fitting if len(fact.methods) == 1}
    if len(said) < 2 or any(not fact.methods for fact in fitting) or said <= alone:
        return True
    pairs = {frozenset(fact.methods) for fact in fitting}
    return all(frozenset(pair) in pairs for pair in combinations(said, 2))


_SHARES = {*SHARES, "error"}
_TELLING = 4  # so many digits are hardly those of something else by chance
_ESSENTIAL = {
    "score",
    "max_logit_difference",
    "fidelity",
    "rank",
    "last_rank",
    "tau",
    "kendall_w",
    "steadiness",
}  # never said of anything unnamed
