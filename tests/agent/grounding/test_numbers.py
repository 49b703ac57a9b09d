"""The numbers of a text."""

import pytest

from agent.grounding.numbers import tokens


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("0.729 [0.642 to 0.823]", "0.642", "0.823"),
        ("-0.579 [-0.690 to -0.447]", "-0.690", "-0.447"),
        ("0.019 (95 % CI: -0.01 to 0.05)", "-0.01", "0.05"),
        ("0.88 (confidence-interval 0.83 to 0.94)", "0.83", "0.94"),
    ],
)
def test_an_interval_keeps_its_signs(text: str, low: str, high: str) -> None:
    [number] = [token for token in tokens(text) if token.low]
    assert (number.low, number.high, number.end) == (low, high, len(text))
