"""Intervals. Every interval in the project is a 95 % percentile bootstrap, seeded."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from analyzers.records import Estimate

RESAMPLES = 1000


def resampled_indices(n: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Indices of bootstrap samples, (resamples, n); the same for the same seed, so that comparisons are paired."""
    return np.random.default_rng(seed).integers(0, n, size=(resamples, n))


def percentile_interval(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 2.5th and 97.5th percentile over the first axis."""
    low, high = np.percentile(samples, [2.5, 97.5], axis=0)
    return low, high


def mean_intervals(values: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis with its interval.

    Args:
        values: (examples, ...).
        seed: of the resampling.

    Returns:
        mean, low, high, each of shape (...).
    """
    rows = resampled_indices(len(values), seed)
    # One resample at a time: (resamples, examples, ...) would not fit for wide values.
    means = np.stack([values[row].mean(axis=0) for row in rows])
    return values.mean(axis=0), *percentile_interval(means)


def weighted_values(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Per-example values whose plain mean is the weighted mean; their spread gives its interval (the delta method).

    Args:
        values: (examples, ...).
        weights: (examples,), positive.
    """
    mean = np.average(values, axis=0, weights=weights)
    share = (weights / weights.mean()).reshape(-1, *(1,) * (values.ndim - 1))
    return mean + share * (values - mean)


def statistic_estimate(columns: tuple[np.ndarray, ...], statistic: Callable[..., float], seed: int) -> Estimate:
    """A statistic of paired per-example columns with its interval.

    Args:
        columns: arrays that share their first axis (examples).
        statistic: called with the columns, or with the same resampled rows of each.
        seed: of the resampling.
    """
    rows = resampled_indices(len(columns[0]), seed)
    samples = np.array([statistic(*(column[row] for column in columns)) for row in rows])
    low, high = percentile_interval(samples)
    return Estimate(value=float(statistic(*columns)), low=float(low), high=float(high))


def median_estimate(values: np.ndarray, seed: int = 0) -> Estimate:
    """Median with its interval, for timings."""
    return statistic_estimate((values,), lambda v: float(np.median(v)), seed)


def kendall_tau(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b of two score vectors; 0 where one of them is constant."""
    tau = stats.kendalltau(first, second).statistic
    return float(tau) if np.isfinite(tau) else 0.0


def kendall_taus(first: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Kendall's tau-b of one score vector with many, (many,): the same numbers as `kendall_tau`, all at once.

    Args:
        first: (layers,).
        others: (many, layers).
    """

    def signs(scores: np.ndarray) -> np.ndarray:
        return np.sign(scores[..., :, None] - scores[..., None, :])

    mine, theirs = signs(first), signs(others)
    pairs = np.sqrt(np.abs(mine).sum() * np.abs(theirs).sum(axis=(1, 2)))  # without ties; each pair counts twice
    concordant = (mine * theirs).sum(axis=(1, 2))
    return np.divide(concordant, pairs, out=np.zeros(len(others)), where=pairs > 0)


def kendall_w(scores: np.ndarray) -> float:
    """Kendall's coefficient of concordance with the correction for ties.

    Source: Kendall & Babington Smith 1939, https://doi.org/10.1214/aoms/1177732186

    Args:
        scores: (methods, layers).

    Returns:
        1 for equal rankings, 0 for no agreement.
    """
    methods, layers = scores.shape
    ranks = stats.rankdata(scores, axis=1)
    spread = ((ranks.sum(axis=0) - methods * (layers + 1) / 2) ** 2).sum()
    ties = sum((count**3 - count).sum() for count in (np.unique(row, return_counts=True)[1] for row in ranks))
    largest = methods**2 * (layers**3 - layers) - methods * ties
    return float(12 * spread / largest) if largest else 0.0
