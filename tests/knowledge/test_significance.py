"""Intervals of differences against published and hand-computed ones."""

import math

import pytest

from analyzers.records import Measurement
from knowledge.significance import difference, wilson


def share(successes: int, n: int) -> Measurement:
    return Measurement(name="accuracy", subject="dense", split="test", value=successes / n, n=n)


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((0, 10), (10, 10), 0.6075, 1.0),
    ],
)
def test_newcombes_own_examples(first, second, low, high) -> None:
    found = difference(share(*first), share(*second))
    assert found is not None
    assert found.method == "newcombe"
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)
    assert found.beyond_chance


def test_the_other_way_round_is_the_mirror_image() -> None:
    there, back = difference(share(48, 80), share(56, 70)), difference(share(56, 70), share(48, 80))
    assert there is not None
    assert back is not None
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


def test_wilson_by_hand() -> None:
    # the bounds are the shares p whose own standard error reaches the observed one: (p - 0.8)² = z² p (1-p) / 70
    for bound in wilson(0.8, 70):
        assert (bound - 0.8) ** 2 == pytest.approx(1.959964**2 * bound * (1 - bound) / 70)


def timed(value: float, low: float | None, high: float | None) -> Measurement:
    return Measurement(name="latency_ms", subject="dense", value=value, low=low, high=high, n=30)


def test_other_measurements_by_hand_from_their_intervals() -> None:
    found = difference(timed(10, 7, 14), timed(20, 16, 23))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((10, 10 - math.hypot(4, 4), 10 + math.hypot(3, 3)))
    assert found.method == "mover"


def test_overlapping_intervals_can_differ_beyond_chance() -> None:
    found = difference(timed(10, 8, 12), timed(13, 11, 15))
    assert found is not None
    assert found.beyond_chance
    assert not difference(timed(10, 8, 12), timed(12, 10, 14)).beyond_chance


def test_no_interval_no_difference() -> None:
    assert difference(timed(10, None, None), timed(20, 16, 23)) is None
