"""How far a block changes what its states say of the examples, up to rotation and scale."""

import numpy as np

from analyzers.errors import DataError
from analyzers.importance.engine import Engine
from analyzers.importance.mutual_information import PooledStates
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore

LEAST = 5  # examples; four rows must be left when any of them is left out


@importance_method(
    "cka",
    title="CKA change",
    unit="1 - CKA",
    cost="the same forward sweep as mutual_information",
    source="https://arxiv.org/abs/1905.00414",
    reducers=(PooledStates,),
)
def cka(engine: Engine) -> list[LayerScore]:
    """One minus the centred kernel alignment (CKA) of the states before and after the block.

    HSIC(K, L) / √(HSIC(K, K) · HSIC(L, L)) over at most 2,048 rows: the mean over tokens of a text, hidden states at 16
    sampled positions of a window. K is the linear kernel of rows scaled to unit length, as the normalisation before the
    next block scales them: without it the few tokens with massive states (https://arxiv.org/abs/2402.17762) decide alone.
    HSIC is the unbiased estimator (Song et al. 2012, as in https://arxiv.org/abs/2010.15327), since the plain one nears 1
    for any states where rows are fewer than units. 0 for a block that only rotates and stretches; may lie a little outside
    0 to 1. The interval comes from what each example changes when it is left out.

    Raises:
        DataError: fewer than five examples.
        NotFinite: a hidden state is NaN or infinite, or all of them are alike.
    """
    seen = engine.reduced(PooledStates)
    _, groups = np.unique(seen["examples"], return_inverse=True)
    count = int(groups.max()) + 1
    if count < LEAST:
        raise DataError(f"{count} calibration examples; cka needs {LEAST}: give more --samples")
    # One column a subset of the rows: the first leaves nobody out, the others one example each.
    left_out = np.concatenate([np.zeros((len(groups), 1)), np.eye(count)[groups]], axis=1)
    depths = len(seen["features"])
    alike = np.zeros((depths - 1, 1 + count))
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN is told by `scores`
        kernel = _kernel(seen["features"][0])
        own = hsic(kernel, kernel, left_out)
        for depth in engine.progress.track(range(1, depths), depths - 1, "kernels"):
            kernel_before, own_before = kernel, own
            kernel = _kernel(seen["features"][depth])
            own = hsic(kernel, kernel, left_out)
            alike[depth - 1] = hsic(kernel_before, kernel, left_out) / np.sqrt(own_before * own)
    changed = 1 - alike.T  # (1 + examples, layers)
    without = changed[1:]
    # Jackknife: an example counts for so much as the score changes without it; the mean stays that of all examples.
    return engine.scores("cka", changed[0] + (count - 1) * (without.mean(axis=0) - without))


def _kernel(features: np.ndarray) -> np.ndarray:
    """Cosines of rows, (rows, rows), with nothing on the diagonal. To centre them only spares digits."""
    unit = features / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True).clip(min=1e-300)
    centred = unit - unit.mean(axis=0)
    kernel: np.ndarray = centred @ centred.T
    np.fill_diagonal(kernel, 0.0)
    return kernel


def hsic(first: np.ndarray, second: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """Unbiased Hilbert-Schmidt independence criterion without some of the rows, (subsets,).

    [tr KL + (1ᵀK1)(1ᵀL1) / ((n−1)(n−2)) − 2 (1ᵀKL1) / (n−2)] / (n(n−3)), for all subsets at once from the sums over all
    rows less those of the rows that are left out.

    Args:
        first: kernel K with zeros on its diagonal, (rows, rows).
        second: kernel L, the same.
        left_out: 1 where a subset leaves a row out, (rows, subsets).
    """
    n = len(first) - left_out.sum(axis=0)
    stays = 1 - left_out
    first_sums = (first.sum(axis=1)[:, None] - first @ left_out) * stays  # (rows, subsets): 1ᵀK over the rows that stay
    second_sums = (second.sum(axis=1)[:, None] - second @ left_out) * stays
    both = first * second
    trace = ((both.sum(axis=1)[:, None] - both @ left_out) * stays).sum(axis=0)
    cross = (first_sums * second_sums).sum(axis=0)
    sums = first_sums.sum(axis=0) * second_sums.sum(axis=0)
    estimate: np.ndarray = (trace + sums / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)) / (n * (n - 3))
    return estimate
