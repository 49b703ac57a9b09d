"""Numbers as people write them: 16, 3e-4, sixteen, thirty-two, zero point five, 十六, 三十二, 零点五."""

from collections.abc import Iterable
from functools import cache

from agent.planner.tables import tables


@cache
def expression() -> str:
    """A regular expression for one number, without groups; case is ignored by whoever compiles it."""
    words, tens, digits = (tables()["numbers"][name] for name in ("words", "tens", "digits"))
    units = _any(word for word, value in words.items() if value < 10)
    english = rf"(?:(?:{_any(tens)})(?:[- ](?:{units})(?![a-z]))?|{_any(words)})(?: point(?: (?:{units})(?![a-z]))+)?"
    one = f"[{''.join(digits)}]"
    return rf"\d+(?:\.\d+)?(?:e-?\d+)?|{english}|(?:{one}?十{one}?|{one})(?:点{one}+)?"


def number(text: str) -> float:
    """The value of what `expression` matched."""
    text = text.lower()
    if text[0].isdigit():
        return float(text)
    words = {name: value for group in tables()["numbers"].values() for name, value in group.items()}
    if text[0] in tables()["numbers"]["digits"] or text[0] == "十":
        whole, _, after = text.partition("点")
        tens, ten, units = whole.rpartition("十")
        value = (10 * words.get(tens, 1) if ten else 0) + words.get(units, 0)
        parts = list(after)
    else:
        whole, _, after = text.partition(" point ")
        value = sum(words[word] for word in whole.replace("-", " ").split())
        parts = after.split()
    return float(f"{value}.{''.join(str(words[part]) for part in parts) or 0}")


def _any(names: Iterable[str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))
