"""How far the words that name something stand from a number: next to it, in its clause, its sentence, above it.

Nothing is decided here: a number may be of anything that its sentence, or what that stands under, names. The distances only
tell which of two readings is the nearer one.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import inf
from typing import Any

from agent.grounding.amounts import MINUTES, ORDINAL, PERCENT, physical
from agent.grounding.facts import Fact, record_of
from agent.grounding.numbers import Token
from agent.grounding.reading import Passage
from agent.grounding.rows import CHOSEN, INSTEAD, JOINED, differing, enumerated, row_of
from agent.grounding.words import Cue, Dimension, pattern

ABOVE = 8  # the distance of what stands above a sentence; in it words are nearer
BORDER = 30  # letters: how much further what stands in another clause is than it looks
_DIRECT = re.compile(
    r"[)）\]]?[\s*(（`]*(?:(?:nats|was|were|of|for|by|in|on|with|under|at|per|the|its|their|a|an|this|that|all|test|more|each|layer|block|的|在|个)[\s*]+|的|个)*",
    re.IGNORECASE,
)
_WITH_UNIT = {"ms": {"latency_ms"}, "MB": {"disk_mb", "peak_memory_mb"}}
COUNTS = {"examples", "epochs", "epoch", "best_epoch", "evaluations", "seed", "cores", "rank", "methods", "texts",
          "batch_size", "max_tokens"}  # fmt: skip
_LABELLED = re.compile(
    r"[ *]*(?:(?:first|second|third|next|last) )?[:：=(（—–]?[ *]*(?:all )?(?:at|with|has|gets|got|reach(?:es|ed)?|为|是)?[ *]*",
    re.IGNORECASE,
)
_FOR = re.compile(r"(?: ?nats)? (?:for|of|in|at) (?:the )?(?:layers? )?", re.IGNORECASE)
_SECONDS = {"s", "sec", "secs", "second", "seconds", "秒", *MINUTES}
LAYERS = {"layers", "layers_removed", "layers_kept"}
_OF_MANY = re.compile(
    r"(?:\d|\*|\b(?:one|two|three|four|five|six|seven|eight|ten|twelve))(?: ?(?:of|out of) ?(?:the |its |all )?|/)\**$"
)
_MANY_OF = re.compile(
    r"\**\s*(?:of|out of|/) ?(?:the |its |all )?\**(?:\d|(?:two|three|four|five|six|seven|eight|ten|twelve)\b)"
)
_BRACKET = re.compile(r"[(（\[]([^)）\]]*)[)）\]]")
_NUMBERS = ("quantity", "range")


class Place:
    """A number, or a list of layers, of an answer, among the words around it."""

    def __init__(self, token: Token, passage: Passage, passages: Sequence[Passage]) -> None:
        self.token, self.passage, self.passages = token, passage, passages
        self._named: dict[str, dict[Any, int]] = {}
        self._own: dict[str, list[Cue]] = {}
        self.clause = next(
            (each for each in passage.clauses if each[0] <= token.start < each[1]), (0, len(passage.text))
        )  # where it begins and ends
        self.given = False  # what is not named is that of a number beside it
        self.known: set[tuple[str | None, str]] = set()  # what is considered, and named by a number beside this one

    @property
    def ahead(self) -> str:
        """The sentence before the number."""
        return self.passage.text[: self.token.start]

    @property
    def behind(self) -> str:
        """The sentence after it."""
        return self.passage.text[self.token.end :]

    @cached_property
    def against(self) -> list[Token]:
        """The numbers that it is set against: 88.1 % vs 89.9 %, 59 ms instead of 103."""
        numbers = [each for each in self.passage.tokens if each.kind == "quantity"]
        return row_of(numbers, numbers.index(self.token), self.passage.text, INSTEAD) if self.token in numbers else []

    @cached_property
    def row(self) -> list[Token]:
        """The numbers that it is enumerated with, or set against: 88.1 vs 89.9."""
        numbers = [each for each in self.passage.tokens if each.kind == "quantity"]
        return row_of(numbers, numbers.index(self.token), self.passage.text) if self.token in numbers else []

    def set_against(self, token: Token, other: Fact, fact: Fact) -> "Place":
        """The same with only the words for that in which the fact differs from the other, that of the token beside it.

        Where two stand side by side, the words before them that are true of the other are said of it.
        """
        chosen = any(CHOSEN.search(self.passage.text[: each.start]) for each in self.against[1:])
        end = 0 if chosen else self.token.end
        start = token.end if token.start > self.token.start else len(self.passage.text)
        own, *others = (differing(each, other, fact, end, start) for each in (self.passage, *self.passages))
        labels = [cue for cue in self.passage.cues if self._labels_row(cue) and cue not in own.cues]
        own = own._replace(cues=(*labels, *own.cues))
        found = Place(self.token, own, others)
        found.measures, found.given = {fact.name: 0}, True
        found.known = {record_of(fact)}
        return found

    def _labels_row(self, cue: Cue) -> bool:
        """Whether the word is the label of all numbers that stand side by side: - 2: 0.065 / 0.102."""
        return bool(re.fullmatch(r"[ *]*[:：][ *]*", self.passage.text[cue.end : self.against[0].start]))

    def above(self) -> Iterator[tuple[int, Passage]]:
        """What the sentence stands under, with its distance: the heads of a cell, the sentences before, a heading."""
        for i, index in enumerate(self.passage.above):
            yield (1 if self.passage.cell else ABOVE + min(i, 3)), self.passages[index]

    @cached_property
    def cited(self) -> set[str]:
        """The runs that the answer gives for a number: in brackets in its sentence, else in its line, else anywhere."""
        return _cited_runs(self)

    @cached_property
    def measures(self) -> dict[str, int]:
        """What the number may measure by the words around it, and by how it is written, with the distance of the words."""
        return _measures(self)

    def cues(self, dimension: Dimension) -> list[Cue]:
        """The words of its sentence in the dimension."""
        return [cue for cue in self.passage.cues if cue.dimension == dimension]

    def says(self, name: str) -> bool:
        """Whether the sentence, or a head of the cell, has words of that pattern."""
        heads = [each.text for _, each in self.above()] if self.passage.cell else []
        return any(pattern(name).search(text) for text in (self.passage.text, *heads))

    def clause_says(self, name: str) -> bool:
        """Whether its clause has words of that pattern."""
        start, end = self.clause
        return bool(pattern(name).search(self.passage.text[start:end]))

    @property
    def of_the_rest(self) -> bool:
        """Whether it is said of all but those that are named: ", the others, which are all below -0.5"."""
        start, text = self.clause[0], self.passage.text
        start = 0 if re.match(r"\s*(?:which|that)\b", text[start:]) else start
        return bool(pattern("rest").search(text[start : self.token.start]))

    def named(self, dimension: Dimension) -> dict[Any, int]:
        """Each value that is named in the dimension, with the distance of the nearest word for it."""
        if dimension not in self._named:
            found: dict[Any, int] = {}
            for distance, value in self._distances(dimension):
                found[value] = min(distance, found.get(value, distance))
            self._named[dimension] = found
        return self._named[dimension]

    def head(self, dimension: Dimension) -> tuple[Any, ...]:
        """What stands right before the number, as its label: SHAP: 0.74, layer 5 (0.498)."""
        before = [cue for cue in self.cues(dimension) if cue.end <= self.token.start]
        if before and _LABELLED.fullmatch(self.passage.text[before[-1].end : self.token.start]):
            return tuple(value for cue in enumerated(before, self.passage.text) for value in cue.values)
        return ()

    def own(self, dimension: Dimension) -> set[Any]:
        """What is named by words that no other number stands nearer to, or above by a line without numbers."""
        return {value for cue in self.own_cues(dimension) for value in cue.values}

    def own_cues(self, dimension: Dimension) -> list[Cue]:
        """The words."""
        if dimension not in self._own:
            passage, token = self.passage, self.token
            counted = token.kind == "quantity" and not _is_measured(token)
            numbers = [each for each in passage.tokens if each.kind in _NUMBERS and each is not token]
            others = [each for each in numbers if _is_measured(each) or counted]
            cues = [cue for cue in passage.cues if cue.dimension == dimension and not cue.forward]
            cues = [cue for cue in cues if _can_govern(cue, token, passage.text)]
            nearest = {cue: min((self._gap(each, cue) for each in others), default=inf) for cue in cues}
            own = [cue for cue in cues if self._gap(token, cue) <= nearest[cue]]
            if dimension in ("method", "layer") and len({cue.values for cue in cues}) == 1:
                own = cues  # the sentence is about this one
            is_inherited = dimension in ("method", "layer") or passage.cell  # "I trust SHAP. Its fidelity is 0.88"
            if not own if is_inherited else not cues:
                over = [each for _, each in self.above() if is_inherited or each.line < passage.line]
                over = [each for each in over if is_inherited or not any(map(_is_measured, each.tokens))]
                own = [cue for each in over for cue in each.cues if cue.dimension == dimension and not cue.forward]
            if paired := self._paired(cues):
                own = [cue for cue in cues if set(cue.values) & set(paired)]
            self._own[dimension] = own
        return self._own[dimension]

    def _gap(self, token: Token, cue: Cue) -> int:
        """The letters between, and more for the border of a clause or a bracket."""
        first, last = (cue.end, token.start) if cue.end <= token.start else (token.body or token.end, cue.start)
        borders = sum(first < start <= last for start, _ in self.passage.clauses)
        between = self.passage.text[first:last]
        brackets = len(re.findall(r"[)）]" if cue.end <= token.start else r"[()（）]", between))
        direct = cue.start >= token.end and not brackets and _DIRECT.fullmatch(between)
        behind = cue.start >= token.end  # of two numbers as near, it stands before its own
        return 0 if direct else last - first + behind + BORDER * (borders + brackets)

    def soft(self) -> list[set[str]]:
        """The models that "from", "to" and "instead of" right before the number speak of."""
        cues = [cue for cue in self.passage.cues if cue.dimension == "subject" and cue.forward]
        return [set(cue.values) for cue in cues if cue.end <= self.token.start and not self._between(cue)][-1:]

    def methods(self) -> list[tuple[str, ...]]:
        """The methods that are enumerated right before the number, and those right after it; of a cell those of its row."""
        if self.passage.cell and self.passage.above:
            row = [cue for cue in self.passages[self.passage.above[0]].cues if cue.dimension == "method"]
            return [tuple(dict.fromkeys(value for cue in row for value in cue.values))] if row else []
        here = [cue for cue in self.cues("method") if not self._taken(cue)]
        before = [cue for cue in here if cue.end <= self.token.start]
        after = [cue for cue in here if cue.start >= self.token.end and not self._of_next(cue)]
        groups = [enumerated(before, self.passage.text)] if before else []
        if after:
            first = [
                cue for cue in after if enumerated(after[: after.index(cue) + 1], self.passage.text)[0] is after[0]
            ]
            groups.append(first)
        return [tuple(dict.fromkeys(value for cue in group for value in cue.values)) for group in groups]

    def _taken(self, cue: Cue) -> bool:
        """Whether the word stands right behind another number: 0.026 nats by ablation, and SHAP ..."""
        if self.token.kind not in _NUMBERS:
            return False
        others = [each for each in self.passage.tokens if each.kind in _NUMBERS and each is not self.token]
        text = self.passage.text
        return any(0 < each.body <= cue.start and _DIRECT.fullmatch(text[each.body : cue.start]) for each in others)

    def _distances(self, dimension: Dimension) -> Iterator[tuple[int, Any]]:
        here = [cue for cue in self.passage.cues if cue.dimension == dimension and not cue.forward]
        here = [cue for cue in here if _can_govern(cue, self.token, self.passage.text)]
        paired = self._paired(here) or self._paired_above(dimension, here)
        for distance, cue in [*self._before(here), *self._after(here)]:
            for value in cue.values:
                yield (0 if value in paired else distance + 2 * bool(paired)), value
        for distance, passage in self.above():
            for cue in passage.cues:
                fits = dimension != "name" or _can_govern(cue, self.token, self.passage.text)
                if cue.dimension == dimension and not cue.forward and fits:
                    yield from ((0 if value in paired else distance, value) for value in cue.values)

    def _before(self, here: Sequence[Cue]) -> Iterator[tuple[int, Cue]]:
        others, behind = 0, None
        for cue in reversed([cue for cue in here if cue.end <= self.token.start]):
            if behind and not JOINED.fullmatch(self.passage.text[cue.end : behind.start]):
                others += cue.values != behind.values
            behind = cue
            yield 1 + others + self.far(cue), cue

    def _after(self, here: Sequence[Cue]) -> Iterator[tuple[int, Cue]]:
        others, ahead = 0, None
        for cue in [cue for cue in here if cue.start >= (self.token.body or self.token.end)]:
            if ahead is None and self._direct(cue):
                yield 0, cue
            else:
                if ahead and not JOINED.fullmatch(self.passage.text[ahead.end : cue.start]):
                    others += cue.values != ahead.values
                yield 2 + others + self.far(cue) + 4 * self._of_next(cue), cue
            ahead = cue

    def _of_next(self, cue: Cue) -> bool:
        """Whether the word stands in a later clause, before a number of that one: 1.78 in batches; for one text 1.40."""
        start = max((a for a, _ in self.passage.clauses if a <= cue.start), default=0)
        end = min((b for _, b in self.passage.clauses if cue.start < b), default=0)
        return start > self.token.start and any(
            each.kind in _NUMBERS and cue.end <= each.start < end for each in self.passage.tokens
        )

    def _direct(self, cue: Cue) -> bool:
        body = self.token.body or self.token.end
        gap = self.passage.text[body if cue.start < self.token.end else self.token.end : cue.start]
        return bool(_DIRECT.fullmatch(gap)) and not self._own_bracket(cue)

    def far(self, cue: Cue) -> int:
        """Two for each number between, for the border of a clause, and for that of a bracket with numbers of its own."""
        first, last = sorted((cue.start, self.token.start))
        clauses = sum(first < start <= last for start, _ in self.passage.clauses)
        return 2 * self._between(cue) + 2 * min(clauses, 1) + 2 * self._own_bracket(cue)

    def _between(self, cue: Cue) -> int:
        first, last = (cue.end, self.token.start) if cue.end <= self.token.start else (self.token.end, cue.start)
        return sum(each.kind in _NUMBERS and first <= each.start < last for each in self.passage.tokens)

    def _own_bracket(self, cue: Cue) -> bool:
        """Whether the word stands in a bracket with a number of its own: "88.1 % (dense: 89.9 %)"."""
        for match in _BRACKET.finditer(self.passage.text):
            start, end = match.span()
            if start <= cue.start < end and not start <= self.token.start < end:
                return any(start < each.start < end for each in self.passage.tokens if each.kind in _NUMBERS)
        return False

    def _paired_above(self, dimension: Dimension, here: Sequence[Cue]) -> tuple[Any, ...]:
        """Of "By layer (SHAP / ablation):" and below it "0.268 / 0.498" the name of the number."""
        numbers = [each for each in self.passage.tokens if each.kind == "quantity"]
        if here or self.passage.cell or self.token not in numbers:
            return ()
        row = self.row
        for _, passage in self.above():
            cues = [cue for cue in passage.cues if cue.dimension == dimension]
            if len(cues) == len(row) > 1 and len(enumerated(cues, passage.text)) == len(row):
                return cues[row.index(self.token)].values
        return ()

    def _paired(self, cues: Sequence[Cue]) -> tuple[Any, ...]:
        """The first of two names for the first of two numbers, and so on: "Fisher and SHAP reach 0.61 and 0.91"."""
        numbers = [each for each in self.passage.tokens if each.kind == "quantity"]
        before = [cue for cue in cues if cue.end <= self.token.start]
        text = self.passage.text
        row = self.row
        behind = [cue for cue in cues if row and cue.start >= row[-1].end]
        if behind and len(behind[0].values) == len(row) > 1 and _FOR.fullmatch(text[row[-1].end : behind[0].start]):
            return behind[0].values[row.index(self.token) :][:1]  # 22.7, 21.9 and 15.2 for layers 0 to 2
        if self.token not in numbers or not before:
            return ()
        ahead = text[: row[0].start]
        among = enumerated(before, text)
        if re.search(r"[:：]\s*\**$", ahead):  # "A is more than B: 3 against 2"
            among = before
        if re.search(r"[(（]\s*\**$", ahead) and cues[0].dimension in (
            "method",
            "layer",
        ):  # "A is more than B (3 vs 2)"
            named = list({cue.values: cue for cue in before}.values())
            among = named if len(named) == len(row) else among
        single = [
            part for cue in among for part in ([(v,) for v in cue.values] if cue.dimension == "layer" else [cue.values])
        ]
        if len(single) < 2 or len(row) != len(single) or row[0].start < among[-1].end:
            return ()
        return single[row.index(self.token)]


def _is_measured(token: Token) -> bool:
    is_rank = token.unit in ORDINAL or token.unit == "last"
    return token.kind in _NUMBERS and not is_rank and bool(token.unit or "." in token.text)


def _can_govern(cue: Cue, token: Token, text: str) -> bool:
    """Whether a number with such a unit can be of what the word names; a layer is not said of itself."""
    if cue.dimension in ("layer", "size", "set"):
        return cue.start != token.start
    if cue.dimension != "name" or token.kind in ("layers", "list"):
        return True
    names = set(cue.values)
    if token.spelt and "layers" in names:
        return True
    if unit := physical(token):
        return bool(names & _WITH_UNIT[unit])
    if token.unit in PERCENT and "layers" in names:  # a share of them
        return bool(re.match(r" ?(?:of|的|fewer|less)", text[token.end :]))
    if (token.unit or "." in token.text) and token.unit not in ORDINAL:
        return not names <= (COUNTS if token.unit in PERCENT else COUNTS | {"layers", "layers_removed", "layers_kept"})
    return True


def _cited_runs(place: Place) -> set[str]:
    passage = place.passage
    here = [cue for cue in passage.cues if cue.dimension == "run"]
    kinds = [str(cue.values[0]).partition("-")[0] for cue in here]
    named = place.named("run")
    if named and (passage.cell or len(kinds) > len(set(kinds))):  # two of a kind are compared
        return {run for run, distance in named.items() if distance == min(named.values())}
    line = [cue for each in place.passages if each.line == passage.line for cue in each.cues if cue.dimension == "run"]
    anywhere = [cue for each in place.passages for cue in each.cues if cue.dimension == "run"]
    bracketed = [cue for cue in here if re.search(r"[(（][^)）]*$", passage.text[: cue.start])]
    return {str(cue.values[0]) for cue in bracketed or line or anywhere}


def _measures(place: Place) -> dict[str, int]:
    token = place.token
    named = dict(place.named("name"))
    if "." in token.text and not token.unit:
        named.pop("seconds", None)
    if token.unit in ORDINAL or token.unit == "last":
        of_epoch = min(named.get("epochs", inf), named.get("epoch", inf), named.get("best_epoch", inf)) < ABOVE
        return {"best_epoch" if of_epoch else "last_rank" if token.unit == "last" else "rank": 0}
    if token.unit in _SECONDS:
        return {"seconds": 0}
    if not token.unit and "." not in token.text and _OF_MANY.search(place.ahead):
        return {"layers": 0, "examples": 0}
    if any(cue.dimension == "size" and cue.start == token.start for cue in place.passage.cues):
        named |= dict.fromkeys(LAYERS, 0)
    if not token.unit and LAYERS & set(named) and (said := _just_said(place)):  # "removes 3 layers"
        return {f"layers_{said}": 0}
    if not token.unit and _MANY_OF.match(place.behind):
        of_layers = {} if min(named.values(), default=9) <= 1 else {"layers_removed": 0, "layers_kept": 0}
        return {**named, **{each: 0 for each in ("right", "wrong") if each == "right" or each in named}, **of_layers}
    return named


def _just_said(place: Place) -> str | None:
    before = [cue for cue in place.passage.cues if cue.dimension == "say" and cue.end <= place.token.start]
    if not before or place.passage.text[before[-1].end : place.token.start].strip(" *"):
        return None
    return str(before[-1].values[0]) if before[-1].values[0] in ("removed", "kept") else None
