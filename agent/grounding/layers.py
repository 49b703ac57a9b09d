"""Whether what an answer says of layers is so: which exist, go, stay, matter most, and in which order."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from agent.grounding.binding import all_of, bind, cited_runs, clause_of
from agent.grounding.facts import ASIDE, Fact, Facts, Layers
from agent.grounding.numbers import Token
from agent.grounding.reading import Passage

_COPULA = re.compile(
    r"\s*\**\s*层?\s*\**\s*(?:is|are|was|were|can|has been|have been|to|comes?|ranks?|是|被|可以|都|已|的)?\s*(?:be |the |all |both |by \w+ |also |that |已经|被)*(?:\([^)]*\) *|（[^）]*）)*",
    re.IGNORECASE,
)
_SOME = re.compile(r"\bboth\b|among|includ|such as|e\.g\.|\balso\b|包括|其中|例如|都", re.IGNORECASE)  # some of a set

_IF = re.compile(
    r"\b(?:removing|dropping|without|ablating|pruning|skipping|deleting|cutting)[^\d,;]{0,20}$", re.IGNORECASE
)
_WOULD = re.compile(r"\b(?:if|would|could)\b|如果|若|会使|会让|会导致|将使|将会", re.IGNORECASE)
_ONLY = re.compile(r"(?:\b(?:only|just)|仅|只)[^\d,;，；]{0,16}$", re.IGNORECASE)


class Where(NamedTuple):
    run: str | None
    path: str


def check_layers(token: Token, passage: Passage, passages: Sequence[Passage], facts: Facts) -> Where | str:
    """Where it is recorded, or what is wrong with it."""
    lists = _lists_of_run(token, passage, passages, facts.lists)
    said = _said(token, passage, passages)
    if len(set(token.layers)) < len(token.layers) and said != "ranks":
        return "a layer stands there twice"
    if said == "absent":
        count = [fact for fact in facts.numbers if fact.name == "layers"]
        there = any(index < fact.value for fact in count for index in token.layers)
        return "there is such a layer" if there or not count else Where(count[0].run, count[0].path)
    counts = [fact for fact in facts.numbers if fact.name == "layers"]
    if said not in ("removed", "kept") and any(set(token.layers) == {*range(int(count.value))} for count in counts):
        said = "reversed" if said == "reversed" else "order"  # all of them, one after the other
    if (
        said == "removed"
        and len(token.layers) == 1
        and (_IF.search(passage.text[: token.start]) or _WOULD.search(passage.text))
    ):
        said = None  # what would be, not what is
    if said in ("removed", "kept"):
        return _in_set(token, said, passage, passages, [each for each in lists if each.what == said])
    if said in ("order", "reversed", "first", "last"):
        return _in_orders(token, said, _of_method(token, passage, passages, lists, ("order",)), facts)
    if said == "ranks" and token.kind == "list":
        return _in_orders(token, said, _of_method(token, passage, passages, lists, ("ranks",)), facts)
    if token.kind == "list":
        exact = [each for each in lists if each.layers == token.layers or set(each.layers) == set(token.layers)]
        return Where(exact[0].run, exact[0].path) if exact else "no result lists these"
    known = next((fact for fact in counts if all(index < fact.value for index in token.layers)), None)
    return Where(known.run, known.path) if known else "no result has such a layer"


def _check_ranking(items: Sequence[Passage], passages: Sequence[Passage], facts: Facts) -> Where | str:
    """Whether the numbered list "1. Layer 5, 2. Layer 0, ..." has the order of its method, or of the consensus."""
    first, last = items[0], passages.index(items[-1])
    token = first.tokens[0]._replace(kind="list", layers=tuple(each.tokens[0].layers[0] for each in items))
    around = [*(passages[above] for above in first.above), *passages[last + 1 : last + 2]]
    cues = [cue for each in around for cue in each.cues]
    said = (
        "reversed" if any(cue.dimension == "say" and cue.values[0] in ("last", "reversed") for cue in cues) else "order"
    )
    methods = {cue.values[0] for cue in cues if cue.dimension == "method"} - {"consensus"}
    lists = _lists_of_run(token, first, passages, facts.lists)
    orders = [
        each
        for each in lists
        if each.what == "order" and (bool(set(each.methods) & methods) if methods else not each.methods)
    ]
    return _in_orders(token, said, orders, facts)


def wrong_rankings(passages: Sequence[Passage], facts: Facts) -> dict[int, str]:
    """Where the items of wrong rankings stand, each with what is wrong; a ranking is a numbered list of all layers."""
    total = max((int(fact.value) for fact in facts.numbers if fact.name == "layers"), default=0)
    wrong: dict[int, str] = {}
    items: list[Passage] = []
    for passage in passages:
        if passage.mark is None:
            continue
        ahead = (
            passage.text[: passage.tokens[0].start] if passage.tokens and passage.tokens[0].kind == "layers" else "-"
        )
        leads = not re.sub(r"layer|[ *`第层]", "", ahead, flags=re.IGNORECASE)
        items = (
            [*items, passage]
            if leads and passage.mark == len(items) + 1
            else [passage]
            if leads and passage.mark == 1
            else []
        )
        if items and len(items) == total and isinstance(found := _check_ranking(items, passages, facts), str):
            wrong |= dict.fromkeys((each.start for each in items), found)
    return wrong


def _said(token: Token, passage: Passage, passages: Sequence[Passage]) -> str | None:
    """What is said of the layers: by the words right after them, else by the nearest before, else after."""
    here = [cue for cue in passage.cues if cue.dimension == "say"]
    start, end = clause_of(token, passage)
    after = [cue for cue in here if cue.start >= token.end]
    removed = [cue for cue in here if start <= cue.end <= token.start and cue.values[0] == "removed"]
    if removed and after and after[0].values[0] in ("first", "last"):  # "remove layer 4 first"
        return "removed"
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
    part = (len(token.layers) == 1 and not _ONLY.search(passage.text[: token.start])) or bool(
        _SOME.search(passage.text)
    )
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
    if bound is None or set(bound.values) == {"consensus"}:
        return [each for each in orders if not each.methods] or orders
    return [each for each in orders if each.methods and each.methods[0] in bound.values]


def _in_orders(token: Token, said: str, orders: list[Layers], facts: Facts) -> Where | str:
    """Whether each of the methods has it so; of one method, any of its runs."""
    found = {methods: _in_order(token, said, [each for each in orders if each.methods == methods], facts)
             for methods in dict.fromkeys(each.methods for each in orders)}  # fmt: skip
    wrong = [each for each in found.values() if isinstance(each, str)]
    right = [each for each in found.values() if not isinstance(each, str)]
    return right[0] if right and not wrong else f"no result has this as {said}"


def _in_order(token: Token, said: str, orders: list[Layers], facts: Facts) -> Where | str:
    layers = token.layers
    for each in orders:
        ordered = each.layers if said in ("order", "first", "ranks") else each.layers[::-1]
        whole = said in ("order", "reversed", "ranks")
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
