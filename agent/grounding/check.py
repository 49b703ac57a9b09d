"""Is every number of an answer backed by a fact of the turn, and is it said of the right thing?"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agent.grounding.amounts import ORDINAL, PERCENT, POINTS, TIMES, Amount, factors, physical
from agent.grounding.binding import Bound, all_of, bind, cited_runs, right_sides
from agent.grounding.derived import derived
from agent.grounding.facts import ASIDE, MEASURED, Fact, Facts, Quote
from agent.grounding.layers import check_layers
from agent.grounding.reading import Passage, Token, read
from agent.grounding.words import pattern
from analyzers.records import Record

_OF_MANY = re.compile(r"(?:\d|\*)(?: ?(?:of|out of) ?(?:the |its |all )?|/)\**$")


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
    cited: set[str]  # runs


def check(answer: str, facts: Facts) -> Checked:
    """The numbers of the answer that are backed, each with its fact, and those that are not."""
    passages = read(answer, facts)
    verified: list[Verified] = []
    unsupported: list[Unsupported] = []
    for passage in passages:
        for token in passage.tokens:
            found = _support(token, passage, passages, facts)
            start, end = passage.start + token.start, passage.start + token.end
            if isinstance(found, str):
                around = " ".join(answer[max(0, start - 30) : end + 20].split())
                unsupported.append(Unsupported(number=token.text.strip(), context=around, reason=found))
            else:
                verified.append(found.model_copy(update={"number": answer[start:end], "start": start, "end": end}))
    return Checked(tuple(verified), tuple(unsupported))


def _support(token: Token, passage: Passage, passages: Sequence[Passage], facts: Facts) -> Verified | str:
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
        quoted = _quoted(token, passage, facts.quotes)
        return quoted or found
    claim = _claim(token, passage, passages)
    if facts_of_value := _equal(token, facts):
        fitting = [fact for fact in facts_of_value if _fits(claim, fact)]
        if fitting:
            fact = fitting[0]
            return Verified(number=token.text, start=0, end=0, value=fact.value, unit=fact.unit, low=fact.low,
                            high=fact.high, run=fact.run, path=fact.path)  # fmt: skip
    if (computed := derived(claim, facts)) is not None:
        value, first, second = computed
        both = (
            f"{first.path}, {second.path}" if first.run == second.run else f"{first.path}, {second.run} {second.path}"
        )
        return Verified(number=token.text, start=0, end=0, value=value, run=first.run, path=both)
    if quoted := _quoted(token, passage, facts.quotes):
        return quoted
    if facts_of_value and not all(fact.named for fact in facts_of_value):
        return "the results hold it, but not of what it is said of here"
    return "no result holds it"


def _claim(token: Token, passage: Passage, passages: Sequence[Passage]) -> Claim:
    return Claim(
        token,
        passage,
        passages,
        _name(token, passage, passages),
        bind("subject", token, passage, passages),
        bind("split", token, passage, passages),
        bind("method", token, passage, passages),
        bind("layer", token, passage, passages),
        cited_runs(token, passage, passages),
    )


def _name(token: Token, passage: Passage, passages: Sequence[Passage]) -> Bound | None:
    if token.unit in ORDINAL:
        return Bound(("rank",), True)
    if token.unit in ("s", "second", "seconds", "秒"):
        return Bound(("seconds",), True)
    if _OF_MANY.search(passage.text[: token.start]):
        return Bound(("layers",), True)
    bound = bind("name", token, passage, passages)
    if bound and "layers" in bound.values and (said := _just_said(token, passage)):  # "removes 3 layers"
        return Bound((f"layers_{said}",), True)
    if _MANY_OF.match(passage.text[token.end :]) and not (bound and bound.near):
        return Bound(("layers_removed", "layers_kept"), True)
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
    unit, percent = physical(token), token.unit in PERCENT
    value = None if token.kind == "range" else Amount.of(token.text)
    bounds = (Amount.of(token.low), Amount.of(token.high)) if token.low and token.high else None
    found = []
    bare = token.kind == "range" and not token.unit  # "the intervals (85.0 to 90.9) overlap"
    for factor in (1.0, 100.0) if bare else factors(token):
        for fact in _of_size(facts, value, factor):
            if (unit and not fact.unit.startswith(unit)) or (token.unit in TIMES and not fact.ratio):
                continue
            if percent and (fact.unit or fact.named or fact.name == "parameters"):
                continue
            if value and not value.holds(fact.value, factor):
                continue
            if bounds and (fact.low is None or fact.high is None):
                continue
            if bounds and not (bounds[0].holds(fact.low or 0, factor) and bounds[1].holds(fact.high or 0, factor)):
                continue
            found.append(fact)
    return found


def _of_size(facts: Facts, value: Amount | None, factor: float) -> list[Fact]:
    if value is None:
        return facts.numbers
    low, high = value.between(factor)
    first, last = bisect_left(facts.sizes, (low, 0)), bisect_right(facts.sizes, (high, len(facts.numbers)))
    return [facts.numbers[i] for i in sorted(i for _, i in facts.sizes[first:last])]


def _fits(claim: Claim, fact: Fact) -> bool:
    """Whether what the answer says of the number is true of the fact."""
    return all(_reasons(claim, fact))


def _reasons(claim: Claim, fact: Fact) -> Iterator[bool]:
    passage, passages = claim.passage, claim.passages
    yield _named(claim, fact)
    if fact.subject in ASIDE:
        method = claim.method
        named = fact.subject in all_of("subject", passage, passages)
        of_method = bool(fact.methods and method and method.near and fact.methods[0] in method.values)
        yield named or (of_method and fact.subject == "alternative")
    elif fact.ratio:
        yield right_sides(passage)
        if claim.token.unit not in TIMES and fact.name != "speedup":
            around = [passage, *(passages[above] for above in passage.above if passage.cell)]
            yield any(pattern("kept").search(each.text) for each in around)
    elif claim.subject is not None and fact.subject not in (None, "model"):
        meant = set(claim.subject.values) - set(ASIDE)
        yield not meant or fact.subject in meant
    if claim.split is not None and fact.split is not None:
        yield fact.split in claim.split.values
    if fact.methods and fact.subject not in ASIDE:
        yield _of_methods(claim, fact)
    if fact.layer is not None and fact.name != "parameters":
        yield fact.layer in claim.layer.values if claim.layer else fact.name != "score"
    if fact.run is not None:
        yield not claim.cited or fact.run in claim.cited


def _named(claim: Claim, fact: Fact) -> bool:
    """Whether the answer says of the number what the fact measures."""
    name, method, token = claim.name, claim.method, claim.token
    bare = token.kind == "quantity" and not token.unit and "." not in token.text and token.low is None
    scored = fact.name == "score" and method is not None and (method.near or not bare)
    if name is None:
        return scored or not (fact.named or bare or fact.name in _ESSENTIAL)
    if fact.named:
        measured = {value for value in all_of("name", claim.passage, claim.passages) if value in MEASURED}
        return name.near and fact.name in name.values and (not fact.of or not measured or fact.of in measured)
    if fact.name in name.values:
        return True
    if scored and set(name.values) <= {"score", "loss"}:  # "ablation raises the loss by ..."
        return True
    return not name.near and not set(name.values) & _ESSENTIAL and (scored or not (bare or fact.name in _ESSENTIAL))


def _of_methods(claim: Claim, fact: Fact) -> bool:
    method = claim.method
    if len(fact.methods) == 2:
        named = all_of("method", claim.passage, claim.passages)
        return set(fact.methods) <= named and (method is None or bool(set(fact.methods) & set(method.values)))
    return fact.methods[0] in method.values if method else fact.name not in _ESSENTIAL


_ESSENTIAL = {"score", "fidelity", "rank", "tau", "kendall_w", "steadiness"}  # never said of anything unnamed


def _quoted(token: Token, passage: Passage, quotes: Sequence[Quote]) -> Verified | None:
    """A text of the results that has the number among the same words: a note, a caution, what the user said."""
    sentence = _words(passage.text)
    written = re.escape(token.text.strip().split(" ")[0])
    for quote in quotes:
        if quote.path == "said" and not pattern("asked").search(passage.text):
            continue
        for match in re.finditer(rf"(?<![\w.,-]){written}(?![\w]|[.,]\d)", quote.text, re.ASCII):
            around = quote.text[max(0, match.start() - 60) : match.end() + 60]
            common = sentence & _words(around)
            if quote.path == "said" or len(common) >= (3 if re.search("[\u4e00-\u9fff]", passage.text) else 2):
                return Verified(number=token.text, start=0, end=0, run=quote.run, path=quote.path)
    return None


def _words(text: str) -> set[str]:
    """Its words; of Chinese the pairs of characters."""
    latin = {each.lower() for each in re.findall(r"[a-zA-Z]{4,}", text)}
    chinese = {text[i : i + 2] for i in range(len(text) - 1) if re.fullmatch("[\u4e00-\u9fff]{2}", text[i : i + 2])}
    return (latin | chinese) - {"layer", "layers", "model", "with", "that", "this", "from", "have"}
