"""Do the methods agree, and what do they say together?"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata

from analyzers.records import Agreement, Estimate, LayerScore
from analyzers.statistics import kendall_tau, kendall_w


def values_of(scores: Sequence[LayerScore]) -> np.ndarray:
    """Scores as an array over layers, (layers,)."""
    return np.array([score.value for score in sorted(scores, key=lambda score: score.layer)])


def agreement(scores: Mapping[str, Sequence[LayerScore]]) -> Agreement:
    """Kendall's W over all methods and tau-b of each pair."""
    values = {method: values_of(layers) for method, layers in scores.items()}
    tau = {a: {b: 1.0 if a == b else kendall_tau(values[a], values[b]) for b in values} for a in values}
    return Agreement(kendall_w=kendall_w(np.stack(list(values.values()))) if len(values) > 1 else None, tau=tau)


def consensus(scores: Mapping[str, Sequence[LayerScore]], fidelity: Mapping[str, Estimate]) -> list[int]:
    """Layers, the most important first, by the mean of their ranks weighted by each method's measured fidelity.

    A method that did no better than random order has no say; if none did, all count alike.
    """
    weights = np.array([max(fidelity[method].value, 0.0) for method in scores])
    if not weights.any():
        weights = np.ones(len(weights))
    ranks = np.stack([rankdata(values_of(layers)) for layers in scores.values()])  # (methods, layers)
    mean_rank = weights @ ranks / weights.sum()
    return [int(layer) for layer in np.argsort(-mean_rank, kind="stable")]


def order_of(scores: Sequence[LayerScore]) -> list[int]:
    """Layers, the least important first: the order in which a method would remove them."""
    return [int(layer) for layer in np.argsort(values_of(scores), kind="stable")]
