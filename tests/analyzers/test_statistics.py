import numpy as np
import pytest

from analyzers.statistics import (
    RESAMPLES,
    kendall_tau,
    kendall_taus,
    kendall_w,
    mean_intervals,
    median_estimate,
    percentile_interval,
    resampled_indices,
    statistic_estimate,
    weighted_values,
)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[1, 2, 3], [10, 20, 30]], 1.0),
        ([[1, 2, 3], [3, 2, 1]], 0.0),
        # Rank sums 4, 5, 9 around 6: S = 4 + 1 + 9 = 14; W = 12 · 14 / (9 · (27 − 3)).
        ([[1, 2, 3], [1, 2, 3], [2, 1, 3]], 12 * 14 / (9 * 24)),
        # Ranks 1.5 1.5 3 and 1 2 3: sums 2.5, 3.5, 6 around 4: S = 6.5; one pair tied: W = 12 · 6.5 / (4 · 24 − 2 · 6).
        ([[5, 5, 9], [1, 2, 3]], 12 * 6.5 / (4 * 24 - 2 * 6)),
        ([[5, 5, 9], [7, 7, 8]], 1.0),  # equal rankings, ties and all
        ([[5, 5, 5], [7, 7, 7]], 0.0),  # nothing is ranked
    ],
)
def test_kendall_w_by_hand(scores, expected: float):
    assert kendall_w(np.array(scores)) == pytest.approx(expected)


def test_kendall_w_does_not_know_the_scale():
    scores = np.random.default_rng(0).normal(size=(4, 8))
    assert kendall_w(scores) == pytest.approx(kendall_w(np.stack([scores[0], *np.exp(scores[1:])])))
    assert 0 < kendall_w(scores) < 1


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4], [1, 2, 4, 3], (5 - 1) / 6),
        ([1, 1, 2], [1, 2, 3], 2 / np.sqrt(2 * 3)),  # tau-b: one of three pairs is tied in the first
        ([1, 1, 1], [1, 2, 3], 0.0),  # undefined
    ],
)
def test_kendall_tau_by_hand(first, second, expected: float):
    assert kendall_tau(np.array(first), np.array(second)) == pytest.approx(expected)


def test_resampling_is_seeded():
    rows = resampled_indices(5, seed=3)
    assert rows.shape == (RESAMPLES, 5)
    assert set(rows.flatten().tolist()) == set(range(5))
    assert (rows == resampled_indices(5, seed=3)).all()
    assert (rows != resampled_indices(5, seed=4)).any()


def test_percentiles():
    low, high = percentile_interval(np.arange(1001))
    assert (low, high) == (25, 975)
    lows, highs = percentile_interval(np.stack([np.arange(1001), np.zeros(1001)], axis=1))
    assert lows.tolist() == [25, 0]
    assert highs.tolist() == [975, 0]


def test_the_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=(400, 2))
    mean, low, high = mean_intervals(values, seed=0)
    assert mean == pytest.approx(values.mean(axis=0))
    half = 1.96 * values.std(axis=0) / np.sqrt(400)
    np.testing.assert_allclose(low, mean - half, atol=0.15 * half.max())
    np.testing.assert_allclose(high, mean + half, atol=0.15 * half.max())


def test_columns_are_resampled_alike():
    values = np.random.default_rng(0).normal(size=(50, 3))
    values[:, 2] = values[:, 0] + 1
    _, low, high = mean_intervals(values, seed=0)
    assert low[2] == pytest.approx(low[0] + 1)
    assert high[2] == pytest.approx(high[0] + 1)


def test_an_interval_of_one_example_is_a_point():
    mean, low, high = mean_intervals(np.array([[0.1, 0.3]]), seed=0)
    assert mean.tolist() == low.tolist() == high.tolist() == [0.1, 0.3]


def test_the_coverage_is_95_percent():
    generator = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        found = statistic_estimate((generator.normal(size=60),), lambda rows: float(rows.mean()), seed)
        inside += found.low <= 0 <= found.high
    assert 0.90 < inside / 200 < 0.99


def test_a_statistic_of_paired_columns():
    one = np.random.default_rng(0).normal(10, 1, 100)
    ratio = statistic_estimate((one, 2 * one), lambda a, b: float(b.mean() / a.mean()), seed=0)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2, 2, 2))  # the same rows of each: nothing varies
    again = statistic_estimate((one,), lambda a: float(a.mean()), seed=0)
    assert again == statistic_estimate((one,), lambda a: float(a.mean()), seed=0)
    assert again.low < again.value < again.high


def test_median():
    found = median_estimate(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert found.value == 3
    assert 1 <= found.low <= 3 <= found.high <= 100


def test_many_taus_at_once_are_those_of_one_by_one():
    scores = np.random.default_rng(0).integers(0, 4, size=(50, 6)).astype(float)  # with ties
    scores[7] = 2.0  # all tied
    expected = [kendall_tau(scores[0], row) for row in scores]
    np.testing.assert_allclose(kendall_taus(scores[0], scores), expected, atol=1e-12)


def test_weighted_values_have_the_weighted_mean_and_its_spread():
    generator = np.random.default_rng(0)
    values, weights = generator.normal(3, 1, size=(400, 2)), generator.integers(1, 9, size=400).astype(float)
    means, low, high = mean_intervals(weighted_values(values, weights), seed=0)
    assert means == pytest.approx(np.average(values, axis=0, weights=weights))
    for column in range(2):
        ratio = statistic_estimate((values[:, column], weights), lambda v, w: float(np.average(v, weights=w)), seed=0)
        assert (low[column], high[column]) == pytest.approx((ratio.low, ratio.high), abs=0.01)
    assert weighted_values(values, np.full(400, 7.0)) == pytest.approx(values)
