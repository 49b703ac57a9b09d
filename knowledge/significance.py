"""How far two measurements are apart, with a 95 % interval, from what records hold: values, intervals and counts.

Answers of single examples are not kept, so samples are taken as independent. Where both were measured on the same test
split they are paired and agree on most examples; the interval is then wider than it need be, never too narrow for samples
that agree more than chance.
"""

import math
from typing import Literal

from analyzers.records import Measurement, Record

PROPORTIONS = ("accuracy",)  # shares of examples that were counted
Z = 1.959964  # of 95 %

Method = Literal["newcombe", "mover"]


class Difference(Record):
    """The second minus the first, with its 95 % interval."""

    value: float
    low: float
    high: float
    method: Method  # newcombe: of two proportions, from the counts; mover: from the intervals of both

    @property
    def beyond_chance(self) -> bool:
        return self.low > 0 or self.high < 0


def difference(first: Measurement, second: Measurement) -> Difference | None:
    """The interval of a difference by variance estimates recovered from both intervals; None where one has none.

    With d = v₂ − v₁ it is d − √((v₂−l₂)² + (u₁−v₁)²) to d + √((u₂−v₂)² + (v₁−l₁)²): Zou & Donner 2008,
    https://doi.org/10.1002/sim.3095. For proportions the two intervals are Wilson's, which makes it method 10 of Newcombe
    1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I.
    """
    counted = all(each.name in PROPORTIONS and each.n and 0 <= each.value <= 1 for each in (first, second))
    before, after = (_interval(each, counted) for each in (first, second))
    if before is None or after is None:
        return None
    value = second.value - first.value
    down = math.hypot(second.value - after[0], before[1] - first.value)
    up = math.hypot(after[1] - second.value, first.value - before[0])
    return Difference(value=value, low=value - down, high=value + up, method="newcombe" if counted else "mover")


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953."""
    middle = share + Z**2 / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return (middle - half) / (1 + Z**2 / n), (middle + half) / (1 + Z**2 / n)


def _interval(measured: Measurement, counted: bool) -> tuple[float, float] | None:
    if counted and measured.n:
        return wilson(measured.value, measured.n)
    if measured.low is None or measured.high is None:
        return None
    return measured.low, measured.high
