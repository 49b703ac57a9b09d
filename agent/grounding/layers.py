"""Whether what an answer says of layers is so: which exist, go, stay, matter most, and in which order."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agent.grounding.facts import ASIDE, Fact, Facts, Layers
from agent.grounding.numbers import NAMED, Token
from agent.grounding.places import Place
from agent.grounding.reading import Passage
from agent.grounding.values import equal
from agent.grounding.words import Cue, pattern

_COPULA = re.compile(
    r"\s*\**\s*层?\s*\**\s*(?:is|are|was|were|at|on|can|has been|have been|to|comes?|ranks?|是|被|可以|都|已|的)?\s*(?:be |the |all |both |by \w+ |also |that |已经|被)*(?:\([^)]*\) *|（[^）]*）)*",
    re.IGNORECASE,
)
_OBJECT = re.compile(r"[\s*:：]*(?:(?:only|just|the|layers?|blocks?)[\s*]*|第)*[\[(]?", re.IGNORECASE)
_SOME = re.compile(r"\bboth\b|among|includ|such as|e\.g\.|\balso\b|包括|其中|例如|都", re.IGNORECASE)  # some of a set
_IF = re.compile(
    r"\b(?:if|once|would|could|removing|dropping|without|ablating|pruning|skipping|deleting|cutting|keeping)\b|如果|若|会(?=使|让|导致|增加|上升|降|损失|变)|将使|将会",
    re.IGNORECASE,
)
_LAST_LAYERS = re.compile(r"\b(first|last) (two|three|four|five|\d) (?:layers|blocks)\b", re.IGNORECASE)
_ONLY = re.compile(r"(?:\b(?:only|just)|仅|只)[^\d,;，；]{0,16}$", re.IGNORECASE)


class Where(NamedTuple):
    run: str | None
    path: str


def with_sets(passages: Sequence[Passage], facts: Facts) -> list[Passage]:
    """The passages, each list of layers that go or stay a cue for the model without, or with, them.

    "The next layer" and its like are cues for the layers of that rank.
    """
    found = []
    for passage in (_of_layer_cell(each, passages) for each in passages):
        sets = []
        for token in passage.tokens:
            if token.kind in ("layers", "list"):
                said = _said(Place(token, passage, passages))
                if said in ("removed", "kept"):
                    sets.append(Cue("set", ((said, frozenset(token.layers)),), token.start, token.end))
        sets += _at_end(passage, facts)
        cues = [_sized(cue, passage, passages) for cue in passage.cues]
        cues = sorted([*cues, *_ranked(passage, facts)], key=lambda cue: cue.start)
        tokens = passage.tokens if passage.line >= 0 else ()  # numbers of the message that is answered are no claims
        found.append(passage._replace(tokens=tokens, cues=(*cues, *sets)))
    return found


def _at_end(passage: Passage, facts: Facts) -> Iterator[Cue]:
    """Of "removing the last three layers" the cue for the model without them."""
    total = _total(facts)
    said = [cue.values[0] for cue in passage.cues if cue.dimension == "say" and cue.values[0] in ("removed", "kept")]
    for match in _LAST_LAYERS.finditer(passage.text):
        number = int(match[2]) if match[2].isdigit() else NAMED[match[2].lower()]
        layers = range(total - number, total) if match[1].lower() == "last" else range(number)
        if said:
            yield Cue("set", ((said[0], frozenset(layers)),), match.start(), match.end())


def _total(facts: Facts) -> int:
    """The number of layers of the model."""
    return next((int(fact.value) for fact in facts.numbers if fact.name == "layers"), 0)


def _ranked(passage: Passage, facts: Facts) -> Iterator[Cue]:
    """Cues for the layers that are named by their rank: of the methods that the sentence names, or of any."""
    methods = {value for cue in passage.cues if cue.dimension == "method" for value in cue.values}
    orders = [each for each in facts.lists if each.what == "order"]
    own = [each for each in orders if set(each.methods) & methods] or [each for each in orders if not each.methods]
    for rank, name in ((0, "top_layer"), (1, "next_layer"), (-1, "last_layer")):
        for match in pattern(name).finditer(passage.text):
            layers = dict.fromkeys(each.layers[rank] for each in own if len(each.layers) > 1)
            if layers:
                yield Cue("layer", tuple(layers), match.start(), match.end())


def _sized(cue: Cue, passage: Passage, passages: Sequence[Passage]) -> Cue:
    """The cue; one for a number of layers that does not say whether they go or stay, by what stands above."""
    if cue.dimension != "size" or len(cue.values) == 1:
        return cue
    if any(each.dimension == "say" and each.values[0] == "removed" for each in passage.cues):
        return cue  # either
    above = [each.values[0] for i in passage.above for each in passages[i].cues if each.dimension == "say"]
    said = next((each for each in above if each in ("removed", "kept")), "kept")
    return cue._replace(values=((said, cue.values[0][1]),))


def _of_layer_cell(passage: Passage, passages: Sequence[Passage]) -> Passage:
    """The passage; a bare number below "most important layer" or "layers removed" is the index of one."""
    token = passage.tokens[0] if passage.cell and len(passage.tokens) == 1 else None
    if token is None or token.text != passage.text.strip() or not token.text.isdigit():
        return passage
    if counted := _counts_of_column(token, passage, passages):
        return passage._replace(cues=(*passage.cues, counted))
    if not Place(token, passage, passages).named("say"):
        return passage
    return passage._replace(tokens=(token._replace(kind="list", layers=(int(token.text),)),))


def _counts_of_column(token: Token, passage: Passage, passages: Sequence[Passage]) -> Cue | None:
    """Of 1, 2, 3 below "layers removed" the number of them."""
    head = passages[passage.above[-1]] if passage.above else passage
    rest = [each for each in passages if each.cell and each.line > head.line]
    column = [each.text.strip() for each in rest if each.above[-1:] == passage.above[-1:]]
    if not re.search(r"\blayers\b|removed|kept|层数|几层", head.text, re.IGNORECASE) or not all(
        map(str.isdigit, column)
    ):
        return None
    rows = [int(each) for each in column]
    if len(rows) < 2 or rows not in (sorted(set(rows)), sorted(set(rows), reverse=True)):
        return None
    said = [cue.values[0] for cue in head.cues if cue.dimension == "say" and cue.values[0] in ("removed", "kept")]
    return Cue("size", ((said[0] if said else "kept", int(token.text)),), token.start, token.end)


def check_layers(place: Place, facts: Facts) -> Where | str:
    """Where it is recorded, or what is wrong with it."""
    token = place.token
    lists = _lists_of_run(place, facts.lists)
    said = _said(place)
    if len(set(token.layers)) < len(token.layers) and said != "ranks":
        return "a layer stands there twice"
    counts = [fact for fact in facts.numbers if fact.name == "layers"]
    if said == "absent":
        there = any(index < fact.value for fact in counts for index in token.layers)
        return "there is such a layer" if there or not counts else Where(counts[0].run, counts[0].path)
    if said not in ("removed", "kept") and any(set(token.layers) == {*range(int(count.value))} for count in counts):
        said = "reversed" if said == "reversed" else "order"  # all of them, one after the other
    if said in ("removed", "kept"):
        found = _in_set(place, said, lists, facts)
        if not isinstance(found, str) or len(token.layers) > 1 or not _IF.search(place.passage.text):
            return found  # else what would be, not what is
    elif said in ("order", "reversed", "first", "last"):
        found = _in_orders(place, said, "order", lists, facts)
        return found if not isinstance(found, str) else _of_number(place, "removed", facts) or found
    elif said == "ranks" and token.kind == "list":
        return _in_orders(place, said, "ranks", lists, facts)
    elif token.kind == "list":
        exact = [each for each in lists if each.layers == token.layers or set(each.layers) == set(token.layers)]
        return Where(exact[0].run, exact[0].path) if exact else "no result lists these"
    known = next((fact for fact in counts if all(index < fact.value for index in token.layers)), None)
    return Where(known.run, known.path) if known else "no result has such a layer"


def wrong_rankings(passages: Sequence[Passage], facts: Facts) -> dict[int, str]:
    """Where the items of wrong rankings stand, each with what is wrong; a ranking is a numbered list of all layers."""
    total = max((int(fact.value) for fact in facts.numbers if fact.name == "layers"), default=0)
    wrong: dict[int, str] = {}
    items: list[Passage] = []
    for passage in passages:
        if passage.mark is None:
            continue
        is_layer = bool(passage.tokens) and passage.tokens[0].kind == "layers"
        ahead = passage.text[: passage.tokens[0].start] if is_layer else "-"
        leads = not re.sub(r"layer|[ *`第层]", "", ahead, flags=re.IGNORECASE)
        goes_on = leads and passage.mark in (1, len(items) + 1)
        items = [*(items if passage.mark > 1 else ()), passage] if goes_on else []
        if items and len(items) == total and isinstance(found := _check_ranking(items, passages, facts), str):
            wrong |= dict.fromkeys((each.start for each in items), found)
    return wrong


def _check_ranking(items: Sequence[Passage], passages: Sequence[Passage], facts: Facts) -> Where | str:
    """Whether the numbered list "1. Layer 5, 2. Layer 0, ..." has the order of its method, or of the consensus."""
    first, last = items[0], passages.index(items[-1])
    token = first.tokens[0]._replace(kind="list", layers=tuple(each.tokens[0].layers[0] for each in items))
    around = [*(passages[above] for above in first.above), *passages[last + 1 : last + 2]]
    cues = [cue for each in around for cue in each.cues]
    backwards = any(cue.dimension == "say" and cue.values[0] in ("last", "reversed") for cue in cues)
    methods = {cue.values[0] for cue in cues if cue.dimension == "method"} - {"consensus"}
    place = Place(token, first, passages)
    lists = [each for each in _lists_of_run(place, facts.lists) if each.what == "order"]
    orders = [each for each in lists if (bool(set(each.methods) & methods) if methods else not each.methods)]
    said = "reversed" if backwards else "order"
    found = [
        _in_order(place, said, [each for each in orders if each.methods == by], facts)
        for by in {each.methods for each in orders}
    ]
    return next((each for each in found if isinstance(each, str)), found[0] if found else "no result has such an order")


def _said(place: Place) -> str | None:
    """What is said of the layers: by the words right after them, else by the nearest before, else after."""
    token, passage = place.token, place.passage
    here = [cue for cue in passage.cues if cue.dimension == "say"]
    start, end = place.clause
    after = [cue for cue in here if cue.start >= token.end]
    object_of = [
        cue for cue in here if cue.end <= token.start and _OBJECT.fullmatch(passage.text[cue.end : token.start])
    ]
    if object_of and object_of[-1].values[0] in ("removed", "kept"):  # "dropping layer 4 keeps 88 %"
        return str(object_of[-1].values[0])
    removed = [cue for cue in here if start <= cue.end <= token.start and cue.values[0] == "removed"]
    if removed and after and after[0].values[0] in ("first", "last"):  # "remove layer 4 first"
        return "removed"
    if after and _COPULA.fullmatch(passage.text[token.end : after[0].start]):
        return str(after[0].values[0])
    before = [cue for cue in here if cue.end <= token.start]
    between = [each for each in passage.tokens if each.kind in ("layers", "list")]
    if before:
        # what stands before another list of layers in an earlier clause was said of that one
        taken = any(before[-1].end <= each.start and each.end <= token.start for each in between)
        if not taken and (before[-1].start >= start or token.kind == "list"):
            return str(before[-1].values[0])
    inside = [cue for cue in after if cue.start < end]
    if inside and not any(token.end < each.start < inside[0].start for each in between):
        return str(inside[0].values[0])
    if passage.cell and (named := place.named("say")):
        return str(min(named, key=named.__getitem__))
    return None


def _lists_of_run(place: Place, lists: list[Layers]) -> list[Layers]:
    cited = place.cited
    return [each for each in lists if each.run in cited or each.run is None] if cited else lists


def _in_set(place: Place, said: str, lists: list[Layers], facts: Facts) -> Where | str:
    """Whether they are those of the result, of a method or baseline that the sentence names, or of a number beside them."""
    token = place.token
    lists = [each for each in lists if each.what == said]
    methods, named = place.named("method"), place.named("subject")
    own = [each for each in lists if set(each.methods) & set(methods)]
    if own and set(named) & set(ASIDE):
        lists = own  # what that method, or that baseline, would remove
        for group in place.methods()[:1]:  # each of several
            with_it = {by for each in own if set(each.layers) == set(token.layers) for by in each.methods}
            if len(group) > 1 and not set(group) <= with_it and with_it & set(group):
                return f"not all of these methods have these layers {said}"
    alone = len(token.layers) == 1 and not _ONLY.search(place.ahead)
    part = alone or bool(_SOME.search(place.passage.text))
    sizes = set(place.named("size"))
    other = "kept" if said == "removed" else "removed"
    for each in lists:
        size = len(each.layers)
        best_of_size = not each.methods and {(said, size), (other, _total(facts) - size)} & sizes
        if each.subject in ASIDE and not (set(each.methods) & set(methods) or each.subject in named or best_of_size):
            continue
        if set(token.layers) <= set(each.layers) if part else set(token.layers) == set(each.layers):
            return Where(each.run, each.path)
    return _of_number(place, said, facts) or f"no result has these layers {said}"


def _of_number(place: Place, said: str, facts: Facts) -> Where | None:
    """Where a number beside them is of the model without, or with, these layers."""
    row = (
        [each for each in place.passages if each.line == place.passage.line] if place.passage.cell else [place.passage]
    )
    for other in (token for each in row for token in each.tokens):
        if other.kind == "quantity" and (other.unit or "." in other.text):
            for fact in equal(other, facts):
                if fact.removed is not None and _is_of(fact, said, place.token.layers):
                    return Where(fact.run, fact.path)
    return None


def _is_of(fact: Fact, said: str, layers: tuple[int, ...]) -> bool:
    removed = set(fact.removed or ())
    kept = set(range(len(removed) + (fact.kept or 0))) - removed
    return set(layers) == (removed if said == "removed" else kept)


def _in_orders(place: Place, said: str, what: str, lists: list[Layers], facts: Facts) -> Where | str:
    """Whether each of the methods that stand before the layers has it so, or each of those behind; else the consensus."""
    orders = [each for each in lists if each.what == what]
    above = [(method,) for method in place.named("method")]
    for group in place.methods() or above or [("consensus",)]:
        found = [_of_method(place, said, method, orders, facts) for method in group]
        if not any(isinstance(each, str) for each in found):
            return found[0]
    return f"no result has this as {said}"


def _of_method(place: Place, said: str, method: str, orders: list[Layers], facts: Facts) -> Where | str:
    """Any of its runs."""
    if method == "consensus":
        return _in_order(place, said, [each for each in orders if not each.methods] or orders, facts)
    return _in_order(place, said, [each for each in orders if method in each.methods], facts)


def _in_order(place: Place, said: str, orders: list[Layers], facts: Facts) -> Where | str:
    layers = place.token.layers
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
