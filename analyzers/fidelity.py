"""Which method to believe: remove layers in the order it gives, and measure.

The area under the deletion curve (rise of the loss after 1, 2, … layers are gone) is compared with the areas of random
order (0) and of the greedy oracle (1), on examples that the scores were not computed on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analyzers.coalitions import Coalitions, Kept, subsets
from analyzers.progress import Progress
from analyzers.records import CurvePoint, Estimate
from analyzers.statistics import statistic_estimate

RANDOM_ORDERS = 10
SMALL = 6  # layers; all sets of so few, walked together, are fewer passes than the curves and the greedy steps in turn
SHALLOW = 12  # stacks of up to so many layers are followed to the last layer, deeper ones to a third


@dataclass(frozen=True)
class Fidelity:
    values: dict[str, Estimate]
    curves: dict[str, list[CurvePoint]]


def measure_fidelity(
    coalitions: Coalitions, orders: Mapping[str, Sequence[int]], seed: int, progress: Progress
) -> Fidelity:
    """Deletion curves of each method, of random orders (their mean) and of the greedy oracle.

    Args:
        coalitions: on examples of the select split.
        orders: method -> layers, the least important first.
        seed: of the random orders and of the intervals.
        progress: ticks while sets of layers are measured.
    """
    layers = len(coalitions.layered)
    depth = _depth(layers)
    generator = np.random.default_rng(seed)
    random = [generator.permutation(layers).tolist() for _ in range(RANDOM_ORDERS)]
    curve_sets = [kept for order in [*orders.values(), *random] for kept in _kept(order, depth, layers)]
    coalitions.measure(subsets(layers, 1) if layers <= SMALL else curve_sets, progress, "deletion curves")
    followed = {**orders, "greedy": greedy_order(coalitions, depth, progress)}
    areas = {name: _area(coalitions, order, depth) for name, order in followed.items()}
    areas["random"] = np.mean([_area(coalitions, order, depth) for order in random], axis=0)
    values = {}
    for method in orders:
        columns = (areas[method], areas["random"], areas["greedy"])
        values[method] = statistic_estimate(columns, _fidelity, seed)
    curves = {name: [_point(coalitions, order[:k], k) for k in range(1, depth + 1)] for name, order in followed.items()}
    curves["random"] = [_mean_point(coalitions, random, k) for k in range(1, depth + 1)]
    return Fidelity(values, curves)


def typical_sets(methods: int, layers: int, seed: int) -> list[list[Kept]]:
    """As many sets as `measure_fidelity` measures for so many methods, and alike: random ones. Each list is measured at once."""
    if layers <= SMALL:
        return [subsets(layers, 1)]
    depth = _depth(layers)
    generator = np.random.default_rng(seed)
    orders = [generator.permutation(layers).tolist() for _ in range(methods + RANDOM_ORDERS)]
    curves = [kept for order in orders for kept in _kept(order, depth, layers)]
    path = [frozenset(range(layers)), *_kept(orders[0], depth - 1, layers)]
    return [curves, *([kept - {layer} for layer in sorted(kept)] for kept in path)]


def greedy_order(coalitions: Coalitions, depth: int, progress: Progress) -> list[int]:
    """Layers in the order of SLEB: always the one whose removal costs the least loss now (arXiv 2402.09025)."""
    removed: list[int] = []
    for step in range(depth):
        kept = coalitions.everything - set(removed)
        candidates = sorted(kept)
        coalitions.measure(
            [kept - {layer} for layer in candidates], progress, f"greedy order, step {step + 1} of {depth}"
        )
        removed.append(min(candidates, key=lambda layer: coalitions.mean_loss(kept - {layer})))
    return removed


def _depth(layers: int) -> int:
    return layers - 1 if layers <= SHALLOW else layers // 3


def _kept(order: Sequence[int], depth: int, layers: int) -> list[Kept]:
    return [frozenset(range(layers)) - set(order[:k]) for k in range(1, depth + 1)]


def _area(coalitions: Coalitions, order: Sequence[int], depth: int) -> np.ndarray:
    """Mean rise of each example's loss along the curve, (examples,)."""
    dense = coalitions[coalitions.everything].loss
    return np.mean(
        [losses.loss - dense for losses in coalitions.measure(_kept(order, depth, len(coalitions.layered)))], axis=0
    )


def _fidelity(method: np.ndarray, random: np.ndarray, greedy: np.ndarray) -> float:
    span = float(random.mean() - greedy.mean())
    # Where the oracle is no better than chance no order can be told from another. Greedy is not always the best order:
    # dividing by a negative span would praise what is worse than chance.
    return float(random.mean() - method.mean()) / span if span > 1e-12 else 0.0


def _point(coalitions: Coalitions, removed: Sequence[int], k: int) -> CurvePoint:
    kept = coalitions.everything - set(removed[:k])
    return CurvePoint(removed=sorted(removed[:k]), loss=coalitions.mean_loss(kept), metric=coalitions.metric(kept))


def _mean_point(coalitions: Coalitions, orders: Sequence[Sequence[int]], k: int) -> CurvePoint:
    points = [_point(coalitions, order, k) for order in orders]
    return CurvePoint(
        removed=[], loss=float(np.mean([p.loss for p in points])), metric=float(np.mean([p.metric for p in points]))
    )
