"""Whether a value, rounded as a number is written, is that number."""

import re
from typing import NamedTuple

from agent.grounding.reading import Token

CRUDEST = 1 / 8  # of the value; a rounding that is further off says something else
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "g": 1e9, "billion": 1e9, "万": 1e4, "亿": 1e8}
PERCENT = {"%", "percent", "percentage"}
POINTS = {"points", "point", "pp", "个百分点", "百分点", "percent points", "percent point", "percentage points", "percentage point"}  # fmt: skip
TIMES = {"×", "x", "times", "fold", "-fold", "倍"}
ORDINAL = {"st", "nd", "rd", "th"}
_PHYSICAL = {"ms": "ms", "millisecond": "ms", "milliseconds": "ms", "毫秒": "ms", "mb": "MB", "megabyte": "MB", "megabytes": "MB"}  # fmt: skip


class Amount(NamedTuple):
    """A number as it is written."""

    value: float
    step: float  # of its last digit

    @classmethod
    def of(cls, text: str) -> "Amount":
        match = re.fullmatch(r"([-+−]?)([\d,]+)(?:\.(\d+))?(?:e([-+]?\d+))?", text, re.IGNORECASE)
        if match is None:
            raise ValueError(f"{text!r} is no number")
        exponent = int(match[4] or 0)
        whole = match[2].replace(",", "")
        return cls(float(f"{whole}.{match[3] or 0}e{exponent}"), 10.0 ** (exponent - len(match[3] or "")))

    def between(self, factor: float = 1.0) -> tuple[float, float]:
        """The smallest and the largest absolute value that can round to this."""
        return (self.value - 0.5001 * self.step) / factor, (self.value + 0.5001 * self.step) / factor

    def holds(self, value: float, factor: float = 1.0) -> bool:
        """Whether the value, times the factor, rounds to this; the sign is left to the words of a sentence."""
        off = abs(abs(value) * factor - self.value)
        # a little more than half of the last digit: ties may be rounded either way. 1 is no rounding of 0.74, nor 0.0 of 0.04
        return off <= 0.5001 * self.step and off <= abs(value) * factor * CRUDEST


def factors(token: Token) -> tuple[float, ...]:
    """What a value has to be multiplied by to be written with the unit of the number."""
    if token.unit in PERCENT or token.unit in POINTS:
        return (100.0,)
    return (1 / _SCALES[token.unit],) if token.unit in _SCALES else (1.0,)


def physical(token: Token) -> str | None:
    """The unit that a fact has to have: ms, MB; None for any."""
    return _PHYSICAL.get(token.unit)
