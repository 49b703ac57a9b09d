"""Whether a value, rounded as a number is written, is that number."""

import re
from typing import NamedTuple

from agent.grounding.numbers import Token

CRUDEST = 1 / 5  # of the value; a rounding that is further off says something else: 1 is none of 0.74, nor 0.0 of 0.04
SPELT = 0.1  # "twice" is said of 1.8 to 2.2, "half" of 45 to 55 %: closer than to "one and a half" or "two thirds"
HEDGED = 0.05  # "about 100" of 103, "around 30" of 28.6: by at most so much, if it is a round number
SPELT_HEDGED = 1 / 8  # "nearly twice" of 1.78
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "g": 1e9, "billion": 1e9, "万": 1e4, "亿": 1e8}
PERCENT = {"%", "percent", "percentage"}
POINTS = {"points", "point", "pp", "pts", "pt", "个百分点", "百分点", "percent points", "percent point", "percentage points", "percentage point"}  # fmt: skip
TIMES = {"×", "x", "times", "fold", "-fold", "倍"}
MINUTES = {"min", "mins", "minute", "minutes", "分钟"}
ORDINAL = {"st", "nd", "rd", "th"}
_PHYSICAL = {"ms": "ms", "millisecond": "ms", "milliseconds": "ms", "毫秒": "ms", "mb": "MB", "megabyte": "MB", "megabytes": "MB", "gb": "MB"}  # fmt: skip


class Amount(NamedTuple):
    """The absolute values that a number can be written for."""

    lowest: float
    highest: float

    @classmethod
    def of(cls, text: str, hedge: str = "", spelt: bool = False) -> "Amount":
        """What a number stands for.

        Args:
            text: the number in digits.
            hedge: "about", "under" or "over" it.
            spelt: a multiple or a share in words, which is rounder.
        """
        match = re.fullmatch(r"([-+−]?)([\d,]+)(?:\.(\d+))?(?:e([-+]?\d+))?", text, re.IGNORECASE)
        if match is None:
            raise ValueError(f"{text!r} is no number")
        exponent = max(-99, min(int(match[4] or 0), 99))  # "1e999" is none of any fact
        whole = match[2].replace(",", "")
        value = float(f"{whole}.{match[3] or 0}e{exponent}")
        step = 10.0 ** (exponent - len(match[3] or ""))
        # a little more than half of the last digit: ties may be rounded either way
        off = max(0.5001 * step, (SPELT_HEDGED if hedge else SPELT) * value if spelt else 0.0)
        is_round = not match[3] and (len(whole.rstrip("0")) == 1 or whole[-1] in "05")
        if hedge == "about" and is_round:
            off = max(off, HEDGED * value)
        lowest, highest = value - off, value + off
        coarse = step if match[3] else 10.0 ** (len(whole) - len(whole.rstrip("0")) + exponent)
        if hedge == "under":  # what would be rounded up to it
            lowest = min(lowest, value - coarse)
        if hedge == "over":
            highest = max(highest, value + coarse)
        crude = value * CRUDEST
        return cls(max(lowest, value / (1 + CRUDEST), 0.0), min(highest, value + crude / (1 - CRUDEST)))

    @classmethod
    def written(cls, token: Token) -> "Amount":
        """What the number of a token stands for."""
        text = token.text
        if token.unit in _SCALES and re.fullmatch(r"[1-9][\d,]*0", text):  # 2090 万 of 20,939,522
            whole = text.replace(",", "").rstrip("0")
            text = f"{whole}e{len(text.replace(',', '')) - len(whole)}"
        hedge = token.hedge
        if text[0] in "-−":  # below -0.5 is further from 0
            hedge = {"under": "over", "over": "under"}.get(hedge, hedge)
        return cls.of(text, hedge, token.spelt and token.unit in PERCENT | TIMES)

    def holds(self, value: float, factor: float = 1.0) -> bool:
        """Whether the value, times the factor, rounds to this; the sign is left to the words of a sentence."""
        return self.lowest <= abs(value) * factor <= self.highest


def factors(token: Token) -> tuple[float, ...]:
    """What a value has to be multiplied by to be written with the unit of the number."""
    if token.unit in PERCENT or token.unit in POINTS:
        return (100.0,)
    if token.unit == "gb":
        return (1 / 1000, 1 / 1024)
    if token.unit in MINUTES:
        return (1 / 60,)
    return (1 / _SCALES[token.unit],) if token.unit in _SCALES else (1.0,)


def physical(token: Token) -> str | None:
    """The unit that a fact has to have: ms, MB; None for any."""
    return _PHYSICAL.get(token.unit)
