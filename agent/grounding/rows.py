"""What stands side by side: words that are enumerated, numbers in a row or set against one another."""

import re
from collections.abc import Sequence
from typing import Any

from agent.grounding.facts import Fact
from agent.grounding.numbers import Token
from agent.grounding.reading import Passage
from agent.grounding.words import Cue, Dimension

JOINED = re.compile(
    r"\s*\**\s*(?:,|and|or|&|\+|/|、|，|和|与|及|vs\.?|versus|,\s*and)\s*\**\s*(?:by |the |layers? |第\s*)?",
    re.IGNORECASE,
)
_AGAINST = re.compile(rf"(?: ?nats)?(?:{JOINED.pattern}|,?\s*(?:against|compared with|对比?)\s*)", re.IGNORECASE)
INSTEAD = re.compile(
    rf"(?:{_AGAINST.pattern}|\s*(?:to|→|->|instead of|rather than|compared to|,? ?(?:up|down) from|而不是|到|降到|升到|降至)\s*)(?:(?:about|around|roughly|at most|at least|only|just|约|至多)\s*)?",
    re.IGNORECASE,
)
CHOSEN = re.compile(r"(?:instead of|rather than|compared to|from|而不是)\s*$", re.IGNORECASE)


def enumerated(cues: Sequence[Cue], text: str) -> list[Cue]:
    """The last of the words with those that it is enumerated with."""
    group = [cues[-1]]
    for cue in reversed(cues[:-1]):
        if not JOINED.fullmatch(text[cue.end : group[0].start]):
            break
        group.insert(0, cue)
    return group


def row_of(numbers: list[Token], position: int, text: str, joint: re.Pattern[str] = _AGAINST) -> list[Token]:
    """The numbers that stand in a row with one of them, joined by such words."""
    row = [numbers[position]]
    for other in reversed(numbers[:position]):
        if not joint.fullmatch(text[other.end : row[0].start]):
            break
        row.insert(0, other)
    for other in numbers[position + 1 :]:
        if not joint.fullmatch(text[row[-1].end : other.start]):
            break
        row.append(other)
    return row


def differing(passage: Passage, other: Fact, fact: Fact, end: int, start: int) -> Passage:
    """The passage with only the words for that in which a fact differs from another, and that are not said of that one.

    Before `end`, and from `start` on, what is true of the other is said of it.
    """
    left = []
    for cue in passage.cues:
        of_other, of_fact = _about(other, cue.dimension), _about(fact, cue.dimension)
        given = of_other == of_fact and cue.dimension not in ("run", "say")
        if not given and not ((cue.start < end or cue.start >= start) and set(cue.values) & of_other):
            left.append(cue)
    return passage._replace(cues=tuple(left))


def _about(fact: Fact, dimension: Dimension) -> set[Any]:
    """The values of the dimension that are true of the fact."""
    gone = frozenset(fact.removed or ())
    match dimension:
        case "subject":
            return {fact.subject}
        case "layer":
            return {fact.layer}
        case "method":
            return set(fact.methods)
        case "size":
            return {("removed", len(gone)), ("kept", fact.kept)}
        case "epoch":
            return {fact.epoch}
        case "set":
            return {("removed", gone)}
        case _:
            return set()
