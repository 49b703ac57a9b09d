"""Whether two numbers go the way that the words say: what fell from 59 to 103 did not fall."""

import re
from collections.abc import Iterator
from itertools import pairwise

from agent.grounding.numbers import Token
from agent.grounding.reading import Passage
from agent.grounding.words import pattern

_HEDGED = r"(?:about |around |roughly |just |only |nearly |almost |约|大约)?"
_TO = re.compile(
    rf"(?: ?nats)?[ *]*(?:to|→|->|到|至|[降升]到|[降升]至|提高到|增加到|减少到)[ *]*{_HEDGED}", re.IGNORECASE
)
_FROM = re.compile(rf"(?:(?:from|从|由)[ *]*{_HEDGED}|[:：][ *]*)$", re.IGNORECASE)
_VERSUS = re.compile(r"[ *]*(?:vs\.?|versus|against|compared (?:with|to)|对比?|than)[ *]*", re.IGNORECASE)
_OF = re.compile(r"(?: points?)?[ *]*(?:out )?of (?:the |its |those )?[ *]*|/", re.IGNORECASE)
_OF_WHOLE = re.compile(r"^[ *]*of (?:the |its |all )?[ *]*$", re.IGNORECASE)
_ITS_PART = re.compile(r"(?: [a-z]+){0,3}, [ *]*", re.IGNORECASE)
_BRACKET = re.compile(r"[(（][ *]*$")


def against_direction(passage: Passage) -> Iterator[Token]:
    """The numbers of two that go, or differ, the other way than the words say."""
    numbers = [each for each in passage.tokens if each.kind == "quantity" and not each.spelt]
    for first, second in pairwise(numbers):
        between = passage.text[first.end : second.start]
        start = max(a for a, _ in passage.clauses if a <= first.start)
        ahead = passage.text[start : first.start]
        if first.unit and second.unit and first.unit != second.unit:
            continue
        if _part(first, second, passage.text[: first.start], between):
            yield from (first, second)
        went = _TO.fullmatch(between) and _FROM.search(ahead)
        differs = _VERSUS.fullmatch(between) and _BRACKET.search(ahead)
        up, down = ("rises", "falls") if went else ("higher", "lower")
        if (went or differs) and (said := _last(ahead, up, down)):
            a, b = _value(first), _value(second)
            grows = b > a if went else a > b
            if a != b and grows != (said == up):
                yield from (first, second)


def _part(first: Token, second: Token, ahead: str, between: str) -> bool:
    """Whether a part is said to be more than its whole: 22.7 of the 17.4 million."""
    if first.unit != second.unit and first.unit and second.unit:
        return False
    if _OF.fullmatch(between):
        return _value(first) > _value(second)
    return bool(_OF_WHOLE.search(ahead)) and bool(_ITS_PART.fullmatch(between)) and _value(second) > _value(first)


def _last(text: str, *names: str) -> str | None:
    """Whose words stand last before the numbers; none where both do."""
    found = [name for name in names if pattern(name).search(text)]
    return found[0] if len(found) == 1 else None


def _value(token: Token) -> float:
    return float(token.text.replace(",", "").replace("−", "-"))
