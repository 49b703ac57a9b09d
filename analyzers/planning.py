"""Choosing layers by measuring: every method's order and the published baselines first, then local search.

The best subset that was measured wins, so a plan is never worse on the split it was chosen on than any baseline.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from analyzers.baselines import Similarity, angular_block, block_influence, reverse_order
from analyzers.coalitions import Coalitions, Kept
from analyzers.errors import BadTarget
from analyzers.fidelity import greedy_order
from analyzers.progress import Progress


@dataclass
class Search:
    """Subsets of one model's layers, measured on the select split within a budget."""

    coalitions: Coalitions
    orders: Mapping[str, Sequence[int]]  # importance method or "consensus" -> layers, the least important first
    found: Similarity
    budget: int
    progress: Progress
    greedy: list[int] = field(default_factory=list)

    @property
    def layers(self) -> int:
        return len(self.coalitions.layered)

    def quality(self, kept: Kept) -> tuple[float, float]:
        """Sorts better subsets first: the metric (as a cost), then the loss."""
        metric = self.coalitions.metric(kept)
        return (-metric if self.coalitions.task.higher_is_better else metric), self.coalitions.mean_loss(kept)

    def seeds(self, keep: int) -> dict[str, Kept]:
        """What each method and each baseline would keep."""
        remove = self.layers - keep
        removed = {name: list(order[:remove]) for name, order in self.orders.items()}
        removed["block_influence"] = block_influence(self.found, remove)
        removed["angular_block"] = angular_block(self.found, remove)
        removed["reverse_order"] = reverse_order(self.layers, remove)
        removed["greedy"] = self._greedy(remove)
        return {name: self.coalitions.everything - set(layers) for name, layers in removed.items()}

    def best(self, keep: int) -> tuple[Kept, dict[str, Kept], bool]:
        """The best subset of a size.

        The baselines are always measured; the budget is for the search that follows.

        Returns:
            the subset, the seeds by name, and whether every subset of the size was measured.
        """
        seeds = self.seeds(keep)
        self.coalitions.measure(
            seeds.values(), self.progress, f"methods and baselines, {keep} of {self.layers} layers kept"
        )
        every = math.comb(self.layers, keep)
        if every <= self._left() + sum(len(kept) == keep for kept in self.coalitions.known()):
            subsets = [frozenset(kept) for kept in combinations(range(self.layers), keep)]
            self.coalitions.measure(subsets, self.progress, f"all {every} subsets of {keep} layers")
            return min(subsets, key=self.quality), seeds, True
        # Not only the seeds: the greedy order measured neighbours of its own path.
        best = min((kept for kept in self.coalitions.known() if len(kept) == keep), key=self.quality)
        while self._left() > 0:
            better = self._improve(best)
            if better is None:
                break
            best = better
        return best, seeds, False

    def _improve(self, best: Kept) -> Kept | None:
        """The best neighbour that swaps one kept layer for a removed one, or None where none is better."""
        removed = sorted(self.coalitions.everything - best)
        known = set(self.coalitions.known())
        # Neighbours near in depth first: they are the likelier improvements when the budget is short.
        swaps = sorted((abs(out - into), out, into) for out in best for into in removed)
        neighbours = [(best - {out}) | {into} for _, out, into in swaps]
        new = [kept for kept in neighbours if kept not in known][: max(self._left(), 0)]
        self.coalitions.measure(new, self.progress, "swapping layers")
        measured = [kept for kept in neighbours if kept in known or kept in new]
        candidate = min(measured, key=self.quality, default=best)
        return candidate if self.quality(candidate) < self.quality(best) else None

    def _left(self) -> int:
        return self.budget - self.coalitions.evaluations

    def _greedy(self, remove: int) -> list[int]:
        if len(self.greedy) < remove:
            self.greedy = greedy_order(self.coalitions, remove, self.progress)
        return self.greedy[:remove]

    def sizes(self) -> dict[int, Kept]:
        """The best measured subset of each size, the largest first."""
        by_size: dict[int, list[Kept]] = {}
        for kept in self.coalitions.known():
            by_size.setdefault(len(kept), []).append(kept)
        return {size: min(by_size[size], key=self.quality) for size in sorted(by_size, reverse=True) if size}


def layers_to_keep(target: Mapping[str, float], layers: int) -> int:
    """How many layers a ratio or a number of layers leaves.

    Args:
        target: {"ratio": R} or {"keep": N}.
        layers: in the dense model.

    Raises:
        BadTarget: the stack cannot be cut that way.
    """
    if "keep" in target:
        keep = int(target["keep"])
        if not 1 <= keep < layers:
            raise BadTarget(
                f"cannot keep {keep} of {layers} layers; allowed are 1 to {layers - 1}: for half use --ratio 2"
            )
        return keep
    ratio = target["ratio"]
    if not (math.isfinite(ratio) and 1 < ratio <= layers):
        raise BadTarget(
            f"ratio {ratio:g} cannot be met with {layers} layers; allowed is more than 1 and at most {layers}: for half the "
            "layers use --ratio 2"
        )
    return max(1, min(layers - 1, math.floor(layers / ratio + 1e-9)))


def check_drop(max_drop: float) -> None:
    """Whether a drop can be asked for at all.

    Raises:
        BadTarget: the drop is not between 0 and 1.
    """
    if not 0 <= max_drop < 1:
        raise BadTarget(f"a drop of {max_drop:g} is not allowed; allowed is 0 to 1, such as --max-drop 0.02")


def within_drop(search: Search, max_drop: float) -> tuple[Kept, dict[str, Kept], bool]:
    """The smallest subset whose metric is at most `max_drop` worse than the dense model's on the select split.

    For accuracy the drop is a difference (0.02: two points); for perplexity it is relative (0.02: 2 % more).

    Raises:
        BadTarget: the drop is not between 0 and 1, or no smaller model stays within it.
    """
    check_drop(max_drop)
    dense = search.coalitions.metric(search.coalitions.everything)

    def drop(kept: Kept) -> float:
        metric = search.coalitions.metric(kept)
        return dense - metric if search.coalitions.task.higher_is_better else metric / dense - 1

    accepted: tuple[Kept, dict[str, Kept], bool] | None = None
    nearest = math.inf
    for keep in range(search.layers - 1, 0, -1):
        best = search.best(keep)
        if drop(best[0]) > max_drop:
            nearest = drop(best[0])
            break
        accepted = best
    if accepted is None:
        raise BadTarget(
            f"no smaller model stays within a drop of {max_drop:g}; the nearest measured is {nearest:.4f} with "
            f"{search.layers - 1} of {search.layers} layers: allow that much, or ask for a --ratio"
        )
    return accepted


def names_of(kept: Kept, seeds: Mapping[str, Kept]) -> Iterable[str]:
    """The methods and baselines that chose exactly this subset."""
    return (name for name, chosen in seeds.items() if chosen == kept)
