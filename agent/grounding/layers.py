"""Whether what an answer says of layers is so: which exist, go, stay, matter most, and in which order."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from agent.grounding.binding import all_of, bind, cited_runs
from agent.grounding.facts import ASIDE, Fact, Facts, Layers
from agent.grounding.reading import Passage, Token

_COPULA = re.compile(
    r"\s*\**\s*层?\s*\**\s*(?:is|are|was|were|can|has been|have been|to|comes?|ranks?|是|被|可以|都|已|的)?\s*(?:be |the |all |both |by \w+ |also |that |已经|被)*(?:\([^)]*\) *|（[^）]*）)*",
    re.IGNORECASE,
)
_SOME = re.compile(r"\bboth\b|among|includ|such as|e\.g\.|\balso\b|包括|其中|例如|都", re.IGNORECASE)  # some of a set


class Where(NamedTuple):
    run: str | None
    path: str


def check_layers(token: Token, passage: Passage, passages: Sequence[Passage], facts: Facts) -> Where | str:
    """Where it is recorded, or what is wrong with it."""
    lists = _lists_of_run(token, passage, passages, facts.lists)
    said = _said(token, passage, passages)
    if said == "absent":
        count = [fact for fact in facts.numbers if fact.name == "layers"]
        there = any(index < fact.value for fact in count for index in token.layers)
        return "there is such a layer" if there or not count else Where(count[0].run, count[0].path)
    if said in ("removed", "kept"):
        return _in_set(token, said, passage, passages, [each for each in lists if each.what == said])
    if said in ("order", "reversed", "first", "last"):
        return _in_order(token, said, _of_method(token, passage, passages, lists, ("order",)), facts)
    if said == "ranks" and token.kind == "list":
        return _in_order(token, said, _of_method(token, passage, passages, lists, ("ranks",)), facts)
    if token.kind == "list":
        exact = [each for each in lists if each.layers == token.layers or set(each.layers) == set(token.layers)]
        return Where(exact[0].run, exact[0].path) if exact else "no result lists these"
    counts = [fact for fact in facts.numbers if fact.name == "layers"]
    known = next((fact for fact in counts if all(index < fact.value for index in token.layers)), None)
    return Where(known.run, known.path) if known else "no result has such a layer"


def _said(token: Token, passage: Passage, passages: Sequence[Passage]) -> str | None:
    """What is said of the layers: by the words right after them, else by the nearest before, else after."""
    here = [cue for cue in passage.cues if cue.dimension == "say"]
    start, end = next(((a, b) for a, b in passage.clauses if a <= token.start < b), (0, len(passage.text)))
    after = [cue for cue in here if cue.start >= token.end]
    if after and _COPULA.fullmatch(passage.text[token.end : after[0].start]):
        return str(after[0].values[0])
    before = [cue for cue in here if cue.end <= token.start]
    between = [each for each in passage.tokens if each.kind in ("layers", "list")]
    for cue in reversed(before):
        # what stands before another list of layers in an earlier clause was said of that one
        taken = any(cue.end <= each.start and each.end <= token.start for each in between)
        if not taken and (cue.start >= start or token.kind == "list"):
            return str(cue.values[0])
        break
    inside = [cue for cue in after if cue.start < end]
    later = [each for each in between if each.start > token.end]
    if inside and not any(each.start < inside[0].start for each in later):
        return str(inside[0].values[0])
    if passage.cell:
        bound = bind("say", token, passage, passages)
        return str(bound.values[0]) if bound else None
    return None


def _lists_of_run(token: Token, passage: Passage, passages: Sequence[Passage], lists: list[Layers]) -> list[Layers]:
    cited = cited_runs(token, passage, passages)
    return [each for each in lists if each.run in cited or each.run is None] if cited else lists


def _in_set(token: Token, said: str, passage: Passage, passages: Sequence[Passage], lists: list[Layers]) -> Where | str:
    method = bind("method", token, passage, passages)
    named = all_of("subject", passage, passages)
    by = set(method.values) if method is not None and method.near else set()
    own = [each for each in lists if set(each.methods) & by]
    if own and named & set(ASIDE):
        lists = own  # what that method, or that baseline, would remove
    part = len(token.layers) == 1 or bool(_SOME.search(passage.text))
    for each in lists:
        aside = each.subject in ASIDE
        of_method = bool(set(each.methods) & by)
        if aside and not (of_method or each.subject in named):
            continue
        same = set(token.layers) <= set(each.layers) if part else set(token.layers) == set(each.layers)
        if same and len(set(token.layers)) == len(token.layers):
            return Where(each.run, each.path)
    return f"no result has these layers {said}"


def _of_method(
    token: Token, passage: Passage, passages: Sequence[Passage], lists: list[Layers], what: tuple[str, ...]
) -> list[Layers]:
    """The orders that the sentence can mean: of the method that it names, else the consensus."""
    bound = bind("method", token, passage, passages)
    orders = [each for each in lists if each.what in what]
    if bound is None or bound.values == ("consensus",):
        return [each for each in orders if not each.methods] or orders
    return [each for each in orders if each.methods and each.methods[0] in bound.values]


def _in_order(token: Token, said: str, orders: list[Layers], facts: Facts) -> Where | str:
    layers = token.layers
    for each in orders:
        ordered = each.layers if said in ("order", "first", "ranks") else each.layers[::-1]
        whole = said in ("order", "reversed", "ranks") and token.kind == "list"
        if whole and ordered[: len(layers)] == layers and (len(layers) > 1 or len(ordered) == 1):
            return Where(each.run, each.path)
        if not whole and (set(layers) == set(ordered[: len(layers)]) or _tied(each, layers, said, facts.numbers)):
            return Where(each.run, each.path)
    return f"no result has this as {said}"


def _tied(order: Layers, layers: tuple[int, ...], said: str, numbers: list[Fact]) -> bool:
    """Whether equal scores share the place."""
    if not order.methods or said not in ("first", "last"):
        return False
    of_method = [
        fact for fact in numbers if fact.name == "rank" and fact.methods == order.methods and fact.run == order.run
    ]
    wanted = 1 if said == "first" else max((fact.value for fact in of_method), default=1)
    return set(layers) <= {fact.layer for fact in of_method if fact.value == wanted}
