"""The numbers of a text."""

import pytest

from agent.grounding.numbers import tokens
from agent.grounding.words import cues


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


def test_a_unit_per_parameter_is_no_count_of_parameters() -> None:
    assert "parameters" in {value for cue in cues("22.7 M parameters", [], []) for value in cue.values}
    assert not cues("3.85e-04 nats per unit of parameter", [], [])
