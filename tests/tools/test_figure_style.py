"""Text in pictures can be read: WCAG 2.2 asks for a contrast of 4.5 to 1."""

import pytest

from tools.figure_style import AMBER, BLUE, INK, OTHER, SKY, SUBJECTS


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted([luminance(one), luminance(other)])
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_21_to_1() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("colour", [*SUBJECTS.values(), OTHER, BLUE])
def test_white_text_can_be_read_on_each_bar(colour: str) -> None:
    assert contrast("#ffffff", colour) >= 4.5


@pytest.mark.parametrize("colour", [SKY, AMBER, "#ffffff", "#fde8d9"])
def test_dark_text_can_be_read_in_each_cell(colour: str) -> None:
    assert contrast(INK, colour) >= 4.5
