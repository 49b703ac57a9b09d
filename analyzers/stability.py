"""How sure the order of the layers is, and how many examples it takes until it stops changing."""

import numpy as np

from analyzers.records import Steadiness
from analyzers.statistics import kendall_taus, resampled_indices

RESAMPLES = 200
SETTLED = 0.9  # mean Kendall's tau from which an order counts as the same


def stability(values: np.ndarray, seed: int) -> Steadiness:
    """Of the order of layers that per-example values give by their mean.

    With m of n examples the order is that of bootstrap samples of size m, so the answer for m < n says what a smaller
    calibration sample would have given, against the order of all n.

    Args:
        values: (examples, layers).
        seed: of the resampling.
    """
    examples = len(values)
    sizes = [*dict.fromkeys(int(size) for size in np.geomspace(min(4, examples), examples, 12).round())]
    taus = {size: _agreement(values, size, seed) for size in sizes}
    settled = next((size for size in sizes if all(taus[each] >= SETTLED for each in sizes if each >= size)), None)
    return Steadiness(tau=taus[examples], examples=settled, read=examples)


def _agreement(values: np.ndarray, size: int, seed: int) -> float:
    order = values.mean(0)
    rows = resampled_indices(len(values), seed, RESAMPLES)[:, :size]
    return float(kendall_taus(order, np.stack([values[each].mean(0) for each in rows])).mean())
