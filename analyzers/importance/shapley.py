"""Shapley values of the blocks."""

import sys
import warnings
from typing import Any

import numpy as np

from analyzers.coalitions import Kept, subsets
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore
from analyzers.work import of_sets, tokens

EVALUATIONS = 256  # sets asked for at the most; repeated ones cost nothing


@importance_method(
    "shap",
    title="SHAP",
    unit="nats",
    cost="about 256 sets of layers, measured once each",
    source="https://arxiv.org/abs/1705.07874",
    main=True,
    sets=True,
    early=True,
    work=lambda engine: of_sets(_some_sets(engine), len(engine.layered), tokens(engine.game.batches)),
)
def shapley(engine: Engine) -> list[LayerScore]:
    """Shapley value of the block in the game v(kept blocks) = −loss.

    Exact for up to 8 blocks. For more by shap's permutation explainer, forwards and backwards through each random order.
    Language models play it on 4 of the calibration windows. Either way the values add up to v(all blocks) − v(none). The
    interval is over examples; it does not hold the sampling of orders.

    Raises:
        NotFinite: the loss of a set of blocks is NaN or infinite.
    """
    shap = _imported()
    layers = len(engine.layered)

    def value(masks: np.ndarray) -> np.ndarray:
        """−loss of each example for each mask: (masks, examples)."""
        sets = [frozenset(np.flatnonzero(mask).tolist()) for mask in masks]
        return -np.stack([losses.loss for losses in engine.game.measure(sets, engine.progress, "shap")])

    exact, permutations = _sampling(layers)
    masker = shap.maskers.Independent(np.zeros((1, layers)))
    before = np.random.get_state()  # shap seeds the generator that all numpy users share
    try:
        if exact:
            explainer, evaluations = shap.explainers.Exact(value, masker), 2**layers
        else:
            explainer = shap.explainers.Permutation(value, masker, seed=engine.seed)
            evaluations = permutations * (2 * layers + 1)
        explanation = explainer(np.ones((1, layers)), max_evals=evaluations, silent=True)
    finally:
        np.random.set_state(before)
    values = explanation.values[0].reshape(layers, -1)  # (layers, examples); shap drops the axis of a single example
    everything = engine.game.everything
    gap = engine.game[frozenset()].loss - engine.game[everything].loss - values.sum(0)
    engine.diagnostics["shap_efficiency_error"] = float(np.abs(gap).max())
    engine.diagnostics["shap_examples"] = float(values.shape[1])
    engine.diagnostics["shap_permutations"] = float(permutations)
    return engine.scores("shap", values.T)


def _imported() -> Any:
    """The shap package, its helpers interpreted where this process did not import it before.

    They run for some milliseconds on as few masks as these; to compile them takes seconds in every new process.
    """
    if "shap" in sys.modules:
        return sys.modules["shap"]
    import numba

    config: Any = numba.config
    before, config.DISABLE_JIT = config.DISABLE_JIT, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # shap imports parts of matplotlib and numba that warn
            import shap
    finally:
        config.DISABLE_JIT = before
    return shap


def _sampling(layers: int) -> tuple[bool, int]:
    """Whether every set of blocks can be measured, and how many orders are sampled where not."""
    exact = 2**layers <= EVALUATIONS
    return exact, 0 if exact else max(1, EVALUATIONS // (2 * layers + 1))


def _some_sets(engine: Engine) -> list[Kept]:
    """As many sets as the explainer measures, and alike: forwards and backwards through random orders."""
    layers = len(engine.layered)
    exact, permutations = _sampling(layers)
    if exact:
        return subsets(layers)
    generator = np.random.default_rng(engine.seed)
    orders = [generator.permutation(layers).tolist() for _ in range(permutations)]
    return [frozenset(way[:size]) for order in orders for way in (order, order[::-1]) for size in range(layers + 1)]
