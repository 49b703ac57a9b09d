"""Which word governs a number: the nearest one of its kind, by a fixed order of places.

What follows directly ("89.9 % of the dense model") comes before what stands ahead in the clause ("by Fisher 3.1"), then
the rest of the clause, then of the sentence, then what the sentence stands under: row and head of a table, the line that
introduces a list, the sentences before it.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from agent.grounding.amounts import PERCENT, physical
from agent.grounding.facts import ASIDE
from agent.grounding.numbers import Token
from agent.grounding.reading import Passage
from agent.grounding.words import Cue, Dimension

_DIRECT = re.compile(
    r"[)）\]]?[\s*(（`]*(?:(?:of|for|by|in|on|with|under|at|per|the|its|their|a|an|this|that|all|test|more|each|layer|block|的|在|个)[\s*]+|的|个)*",
    re.IGNORECASE,
)
COUNTS = {
    "examples",
    "epochs",
    "epoch",
    "best_epoch",
    "evaluations",
    "seed",
    "cores",
    "rank",
    "methods",
    "texts",
    "batch_size",
    "max_tokens",
}  # whole numbers
_WITH_UNIT = {"ms": {"latency_ms"}, "MB": {"disk_mb", "peak_memory_mb", "parameters"}}
_JOINED = re.compile(
    r"\s*\**\s*(?:,|and|or|&|\+|/|、|，|和|与|及|vs\.?|versus|,\s*and)\s*\**\s*(?:by |the |layers? |第\s*)?",
    re.IGNORECASE,
)
_AGAINST = re.compile(rf"(?: ?nats)?(?:{_JOINED.pattern}|\s*(?:against|compared with|对比?)\s*)", re.IGNORECASE)
_VERSUS = re.compile(r"\d ?(?:%|ms|MB)?\)? (?:vs\.?|versus) *$", re.IGNORECASE)
_BASE = re.compile(
    r"(?:(?:\b(?:of|as|than|over|against|with|to|vs\.?|versus)|fast as)(?: the| its| an?)?\s*\**|(?:保留了?|是|为|比|相对于?|相当于)\s*\**)$",
    re.IGNORECASE,
)
_OF = re.compile(r"\bof(?: the| its| an?)?\s*\**$", re.IGNORECASE)
_PRONOUN = re.compile(r"[\s*]*(?:its?|they|their|this|that|它们?的?|其)(?![a-z])", re.IGNORECASE)


class Bound(NamedTuple):
    values: tuple[Any, ...]
    near: bool  # in the same clause or ahead in the sentence, or in the cells of the same row and column


def bind(dimension: Dimension, token: Token, passage: Passage, passages: Sequence[Passage]) -> Bound | None:
    """What the answer says of the number in that dimension; None when it says nothing."""
    here = [cue for cue in passage.cues if cue.dimension == dimension and _can_govern(cue, token, passage.text)]
    if dimension == "subject" and _VERSUS.search(passage.text[: token.start]):
        here = [cue for cue in here if cue.start >= token.end]  # what stands ahead is of the first of the two
    if paired := _paired(here, token, passage):
        return Bound(paired.values, True)
    start, end = clause_of(token, passage)
    body = token.body or token.end
    after = [cue for cue in here if cue.start >= body and not cue.forward]
    before = [cue for cue in here if cue.end <= token.start and not _used_up(cue, token, passage)]
    # "2104 train, 451 select, 455 test examples": a count may wait for its noun
    counted = dimension == "name" and not token.unit and token.text.replace(",", "").isdigit()
    others = [] if counted else _others_behind(token, passage)
    # a word behind the next number is of that one
    in_clause_after = [cue for cue in after if cue.start < end and not any(each < cue.start for each in others)]
    in_clause_before = [cue for cue in before if cue.start >= start]
    gaps = [passage.text[body if cue.start < token.end else token.end : cue.start] for cue in in_clause_after[:1]]
    direct = in_clause_after[:1] if any(_DIRECT.fullmatch(gap) for gap in gaps) else []
    if direct and _of_bracket(direct[0], token, passage):
        direct, in_clause_after = [], []
    if counted and not direct and not in_clause_before and not in_clause_after:
        beside = [*before[-1:], *after[:1]]  # "splits: 2104 train, 451 select, 455 test examples"
        if beside:
            return Bound(tuple(value for cue in beside for value in cue.values), False)
    if dimension in ("texts", "split") and in_clause_before and in_clause_after:
        # "1.8 times with batches and 1.4 times with a single text"
        other = next((each for each in passage.tokens if in_clause_before[-1].end <= each.start < token.start), None)
        in_clause_before = [] if other else in_clause_before
    if _PRONOUN.match(passage.text) and not before and any(_cues(dimension, passages[each]) for each in passage.above):
        after = []  # "It has 0.88; ablation is second" goes on with what the sentence before is about
    for found, near in (
        (direct, True),
        (in_clause_before[-1:], True),
        (in_clause_after[:1], True),
        (before[-1:], False),
        # a word far behind a number is more often that of another number
        (after[:1] if dimension not in ("subject", "name") else [], False),
    ):
        if found:
            return Bound(_group(found[0], here, passage), near)
    for above in passage.above:
        inherited = _cues(dimension, passages[above])
        if inherited and passage.cell:  # all that a head of a row or column names
            return Bound(tuple(value for cue in inherited for value in cue.values), True)
        if inherited:
            return Bound(tuple(value for cue in inherited for value in cue.values), False)
    return None


def _cues(dimension: Dimension, passage: Passage) -> list[Cue]:
    return [cue for cue in passage.cues if cue.dimension == dimension and not cue.forward]


def clause_of(token: Token, passage: Passage) -> tuple[int, int]:
    """Where the clause of a number begins and ends."""
    return next(((start, end) for start, end in passage.clauses if start <= token.start < end), (0, len(passage.text)))


def all_of(dimension: Dimension, passage: Passage, passages: Sequence[Passage], forward: bool = True) -> set[Any]:
    """Everything that the sentence, and what it stands under, names in that dimension; also by words of what follows."""
    near = [passage, *(passages[above] for above in passage.above)]
    cues = (cue for each in near for cue in each.cues if cue.dimension == dimension and (forward or not cue.forward))
    return {value for cue in cues for value in cue.values}


def _others_behind(token: Token, passage: Passage) -> list[int]:
    """Where the next numbers stand, apart from those that the number is enumerated with."""
    numbers = [each for each in passage.tokens if each.kind in ("quantity", "range")]
    if token not in numbers:
        return []
    row = _numbers_in_a_row(numbers, token, passage)
    return [each.start for each in numbers if each.start > token.start and each not in row]


def _of_bracket(cue: Cue, token: Token, passage: Passage) -> bool:
    """Whether the cue stands in a bracket behind the number that holds a number of its own: "88.1 % (dense: 89.9 %)"."""
    bracket = re.match(r"[^(（]*[(（]([^)）]*)", passage.text[token.end :])
    if bracket is None:
        return False
    start, end = token.end + bracket.start(1), token.end + bracket.end(1)
    return start <= cue.start < end and any(start <= each.start < end for each in passage.tokens)


def cited_runs(token: Token, passage: Passage, passages: Sequence[Passage]) -> set[str]:
    """The runs that the answer gives for a number: in brackets in its sentence, else in its line, else anywhere."""
    here = [cue for cue in passage.cues if cue.dimension == "run"]
    kinds = [str(cue.values[0]).partition("-")[0] for cue in here]
    bound = bind("run", token, passage, passages)
    if bound and (passage.cell or len(kinds) > len(set(kinds))):  # two of a kind are compared
        return set(bound.values)
    line = [cue for each in passages if each.line == passage.line for cue in each.cues if cue.dimension == "run"]
    anywhere = [cue for each in passages for cue in each.cues if cue.dimension == "run"]
    bracketed = [cue for cue in here if re.search(r"[(（][^)）]*$", passage.text[: cue.start])]
    return {str(cue.values[0]) for cue in bracketed or line or anywhere}


def right_sides(passage: Passage, token: Token, of_dense: bool = True) -> bool:
    """Whether two different models are compared; with `of_dense` also whether the second is the dense one."""
    sides: tuple[list[Cue], list[Cue]] = ([], [])
    start, end = clause_of(token, passage)
    for cue in passage.cues:
        if cue.dimension == "subject" and not cue.forward and not set(cue.values) <= set(ASIDE):
            ahead = passage.text[: cue.start]
            if _OF.search(ahead) and not start <= cue.start < end:
                continue  # "the latency of the healed model is ..., the speedup ...": nothing is compared with it
            sides[bool(_BASE.search(ahead))].append(cue)
    compared, base = sides
    if of_dense and any("dense" not in cue.values for cue in base):
        return False
    return not compared or not base or any("dense" not in cue.values for cue in (*compared, *base))


def _used_up(cue: Cue, token: Token, passage: Passage) -> bool:
    """Whether a number stands between a word that governs only what follows it, such as "instead of", and this one."""
    return cue.forward and any(cue.end <= each.start < token.start for each in passage.tokens)


def _can_govern(cue: Cue, token: Token, text: str) -> bool:
    """Whether a number with such a unit can be of what the cue names; a layer is not said of itself."""
    if cue.dimension in ("layer", "size"):
        return cue.start != token.start
    if cue.dimension != "name" or token.kind in ("layers", "list"):
        return True
    names = set(cue.values)
    if token.spelt and "layers" in names:
        return True
    if unit := physical(token):
        return bool(names & _WITH_UNIT[unit])
    if token.unit in PERCENT and "layers" in names:  # a share of them
        return bool(re.match(r" ?(?:of|的)", text[token.end :]))
    if token.unit or "." in token.text:
        return not names <= (COUNTS if token.unit in PERCENT else COUNTS | {"layers", "layers_removed", "layers_kept"})
    return True


def _group(cue: Cue, among: Sequence[Cue], passage: Passage) -> tuple[Any, ...]:
    """The values of a cue and of those that it is enumerated with: "Fisher and SHAP"."""
    return tuple(dict.fromkeys(value for each in _enumerated(cue, among, passage) for value in each.values))


def _enumerated(cue: Cue, among: Sequence[Cue], passage: Passage) -> list[Cue]:
    if cue.forward:
        return [cue]
    ordered = sorted((each for each in among if not each.forward), key=lambda each: each.start)
    group, position = [cue], ordered.index(cue)
    for other in reversed(ordered[:position]):
        if not _JOINED.fullmatch(passage.text[other.end : group[0].start]):
            break
        group.insert(0, other)
    for other in ordered[position + 1 :]:
        if not _JOINED.fullmatch(passage.text[group[-1].end : other.start]):
            break
        group.append(other)
    return group


def _paired(cues: Sequence[Cue], token: Token, passage: Passage) -> Cue | None:
    """The first of two names for the first of two numbers, and so on: "Fisher and SHAP reach 0.61 and 0.91"."""
    numbers = [each for each in passage.tokens if each.kind == "quantity"]
    if token not in numbers:
        return None
    before = [cue for cue in cues if cue.end <= token.start]
    if not before:
        return None
    run = _numbers_in_a_row(numbers, token, passage)
    ahead = passage.text[: run[0].start]
    among = _enumerated(before[-1], before, passage)
    if re.search(r"[:：]\s*\**$", ahead):  # "A is more than B: 3 against 2"
        among = before
    if re.search(r"[(（]\s*\**$", ahead) and cues[0].dimension in ("method", "layer"):  # "A is more than B (3 vs 2)"
        named = list({cue.values: cue for cue in before}.values())
        among = named if len(named) == len(run) else among
    single = [each for cue in among for each in _parts(cue)]
    if len(single) < 2 or len(run) != len(single) or run[0].start < single[-1].end:
        return None
    return single[run.index(token)]


def _parts(cue: Cue) -> list[Cue]:
    """Each layer of "layers 0 and 5" by itself."""
    return [cue._replace(values=(value,)) for value in cue.values] if cue.dimension == "layer" else [cue]


def _numbers_in_a_row(numbers: list[Token], token: Token, passage: Passage) -> list[Token]:
    run, position = [token], numbers.index(token)
    for other in reversed(numbers[:position]):
        if not _AGAINST.fullmatch(passage.text[other.end : run[0].start]):
            break
        run.insert(0, other)
    for other in numbers[position + 1 :]:
        if not _AGAINST.fullmatch(passage.text[run[-1].end : other.start]):
            break
        run.append(other)
    return run
