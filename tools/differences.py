"""Differences of measurements as people read them."""

from knowledge.comparison import MeasurementRow
from knowledge.significance import Difference
from tools.wording import SHARES, significant


def apart(row: MeasurementRow, found: Difference | None) -> str:
    """`+1.30 points (-0.40 to 3.00)`; `-` where there is no interval."""
    if found is None:
        return "-"
    factor, unit = (100, "points") if row.name in SHARES else (1, row.unit)
    numbers = [
        f"{'+' if value > 0 else ''}{significant(factor * value)}" for value in (found.value, found.low, found.high)
    ]
    return f"{numbers[0]} {unit} ({numbers[1]} to {numbers[2]})".replace("  ", " ")


def explained(differences: list[Difference], two: bool) -> list[str]:
    """What the marks of a comparison mean, and what they do not."""
    lines = [] if two else ["* differs from the first by more than chance"]
    lines.append(
        "a difference is beyond chance when its 95 % interval leaves out zero: of shares by Newcombe's score method, of "
        "others from both intervals (Zou & Donner 2008)"
    )
    if any(not each.beyond_chance for each in differences):
        lines.append("cannot tell: the interval holds zero, which shows neither a difference nor that there is none")
    if len(differences) > 1:
        lines.append(f"of {len(differences)} such intervals one in twenty misses by chance alone")
    return lines
