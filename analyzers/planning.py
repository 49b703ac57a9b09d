"""Choosing layers by measuring: every method's order and the published baselines first, then search among their neighbours.

The best set that was measured on all examples wins, and all baselines are measured on all of them: a plan is never worse
on the split it was chosen on than any baseline.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from analyzers import baselines
from analyzers.baselines import Similarity
from analyzers.budget import Budget
from analyzers.coalitions import Coalitions, Kept, subsets
from analyzers.errors import BadTarget
from analyzers.evolution import Evolution, goes
from analyzers.fidelity import greedy_order
from analyzers.progress import Progress
from analyzers.records import Objective
from analyzers.targets import check_drop

RANDOM_DRAWS = 3
EXACT = 21  # evaluations of a greedy order that looks at all layers in each step
FEW = 1 / 8  # of the examples, for greedy orders of more layers than that
SHORTLIST = 12  # layers that a greedy step looks at where looking at all is too dear
PATIENCE = 12  # rounds without a better set, then what is left of the budget goes to other sizes
BEYOND = 2  # sizes that are tried below the smallest that passed


@dataclass(frozen=True)
class Published:
    """What methods and baselines go by; all of it was computed on the train split."""

    orders: Mapping[str, Sequence[int]]  # importance method or "consensus" -> layers, the least important first
    found: Similarity
    taylor: Sequence[float]  # Σ |θ · ∂loss/∂θ| of each layer


@dataclass
class Search:
    """Sets of one model's layers (or of their parts), measured on the select split within a budget.

    `groups` are the units of each layer: one, the layer itself, or its parts. A target is a number of layers; with parts, as
    many of them go as hold the parameters of so many layers.
    """

    coalitions: Coalitions
    groups: Sequence[frozenset[int]]
    sizes: Sequence[int]  # of each unit: 1, or its parameters
    published: Published
    budget: Budget
    progress: Progress
    objective: Objective = "metric"
    divergence: Coalitions | None = None  # the same sets by their KL divergence, where that is the objective
    seed: int = 0
    greedy: list[int] = field(default_factory=list)

    @property
    def layers(self) -> int:
        return len(self.groups)

    @property
    def searched(self) -> Coalitions:
        """What the search goes by."""
        return self.divergence or self.coalitions

    @property
    def spent(self) -> float:
        """In units of one set on all select examples."""
        return self.coalitions.spent + (self.divergence.spent if self.divergence else 0.0)

    def quality(self, kept: Kept) -> tuple[float, ...]:
        """Sorts better sets first: by the metric and then the loss, or by the loss or the divergence alone."""
        found = [self.searched.mean_loss(kept)]
        if self.objective == "metric":
            metric = self.coalitions.metric(kept)
            found.insert(0, -metric if self.coalitions.task.higher_is_better else metric)
        return tuple(math.inf if math.isnan(value) else value for value in found)

    def without(self, layers: Iterable[int]) -> Kept:
        return self.coalitions.everything - {unit for layer in layers for unit in self.groups[layer]}

    def goal(self, keep: int) -> int:
        """Size that has to go: of the smallest layers, so that what any baseline removes is enough."""
        return sum(
            sorted(goes(self.without([layer]), self.sizes) for layer in range(self.layers))[: self.layers - keep]
        )

    def begin(self) -> None:
        """Measure the dense model, and at once every set where the budget reaches for all: walked together they share most."""
        sets = subsets(self.layers, 1) if self.reaches_all else [self.coalitions.everything]
        self._measure(sets, f"all {len(sets)} sets of layers" if self.reaches_all else "the dense model on select")

    @property
    def reaches_all(self) -> bool:
        """Whether the budget is enough for every set of every size."""
        return self._whole and 2**self.layers <= self.budget.enough + 2

    def seeds(self, keep: int) -> dict[str, Kept]:
        """What each method and each baseline would keep."""
        remove = self.layers - keep
        known = self.published
        removed = {name: list(order[:remove]) for name, order in known.orders.items()}
        removed["block_influence"] = baselines.block_influence(known.found, remove)
        removed["angular_block"] = baselines.angular_block(known.found, remove)
        removed["cosine_window"] = baselines.cosine_window(known.found, remove)
        removed["reverse_order"] = baselines.reverse_order(self.layers, remove)
        removed["deepest_but_last"] = baselines.deepest_but_last(self.layers, remove)
        removed["taylor_protected"] = baselines.protected(known.taylor, remove)
        removed["greedy"] = self._greedy(remove)
        removed["one_shot_loss"] = list(self._one_by_one())[:remove]
        draws = baselines.random_draws(self.layers, remove, RANDOM_DRAWS, self.seed)
        removed |= {f"random_{number}": draw for number, draw in enumerate(draws, start=1)}
        return {name: self.without(layers) for name, layers in removed.items()}

    def best(self, keep: int, share: float = 1.0) -> tuple[Kept, dict[str, Kept], bool]:
        """The best set of a size.

        The baselines are always measured; the budget is for the search that follows. A round that was begun is finished.

        Args:
            keep: layers.
            share: of what is left of the budget.

        Returns:
            the set, the seeds by name, and whether every set of the size was measured.
        """
        seeds = self.seeds(keep)
        step = f"methods and baselines, {keep} of {self.layers} layers kept"
        self._measure(seeds.values(), step)
        subsets = self._every(keep)
        if subsets is not None:
            self._measure(subsets, f"all {len(subsets)} sets of {keep} layers")
            return min(subsets, key=self.quality), seeds, True
        # Whole layers go in exchange, and where it is about parts, these in turn with them: all baselines are sets of layers.
        units = [] if self._whole else [frozenset({unit}) for unit in range(len(self.sizes))]
        evolutions = [self._evolution(keep, groups, seeds.values()) for groups in (self.groups, units) if groups]
        self._evolve(evolutions, keep, share)
        best = evolutions[-1].best()[0]
        self.coalitions.measure([best])
        return best, seeds, False

    def _evolution(self, keep: int, groups: Sequence[frozenset[int]], seeds: Iterable[Kept]) -> Evolution:
        """Exchanges of groups of units."""
        # Ranks of whole layers stand for their losses; of parts nothing is known beforehand.
        known = self._one_by_one() if groups is self.groups else []
        evolution = Evolution(
            self.searched,
            groups,
            [sum(self.sizes[unit] for unit in group) for group in groups],
            self.goal(keep),
            self.quality,
            np.random.default_rng(self.seed),
            Quiet(self.progress),
            cost={layer: float(rank) for rank, layer in enumerate(known)},
        )
        # Not only the seeds: the greedy order measured neighbours of its own path.
        evolution.add(sorted({*seeds, *self._of_size(keep)}, key=sorted))
        return evolution

    @property
    def _whole(self) -> bool:
        """Whether units are whole layers."""
        return len(self.sizes) == self.layers

    def _evolve(self, evolutions: Sequence[Evolution], keep: int, share: float) -> None:
        """Rounds of each in turn. What one finds the last one takes in: its groups are the smallest."""
        begin, since, turns = self.spent, 0, list(evolutions)
        last = evolutions[-1]
        best = last.best()[0]
        limit = begin + share * self.budget.left(begin)
        patience = PATIENCE * len(evolutions)
        while turns and self.budget.left(self.spent) > 0 and self.spent < limit and since < patience:
            evolution = turns.pop(0)
            if not evolution.round():
                continue
            turns.append(evolution)
            if evolution is not last:
                last.add(self._of_size(keep))
            since += 1
            if last.best()[0] != best:
                best, since = last.best()[0], 0
            self._tell(sum(each.rounds for each in evolutions), last.population[best])

    def _tell(self, rounds: int, loss: float) -> None:
        self.progress.check()
        self.budget.mark()
        name = "KL divergence" if self.objective == "kl" else "loss"
        left = self.budget.time_left(self.spent)
        about = "" if left is None else f", about {left / 60:.1f} minutes left"
        self.progress.say(f"search, round {rounds}: {name} {loss:.4f}; {self.budget.told(self.spent)}{about}")

    def _measure(self, sets: Iterable[Kept], step: str) -> None:
        wanted = list(dict.fromkeys(sets))
        if self.divergence:
            self.divergence.measure(wanted, self.progress, step)
        self.coalitions.measure(wanted, self.progress, step)

    def _every(self, keep: int) -> list[Kept] | None:
        """Every set of the size, if the budget reaches for those that are not measured yet. Sets of parts are too many."""
        if not self._whole:
            return None
        if math.comb(self.layers, keep) > min(self.budget.left(self.spent), self.budget.enough) + len(
            self._of_size(keep)
        ):
            return None
        return [frozenset(kept) for kept in combinations(range(self.layers), keep)]

    def _of_size(self, keep: int) -> list[Kept]:
        """Sets that were measured on all examples and leave out as much as the goal, and no unit more."""
        goal, least = self.goal(keep), min(self.sizes)
        found = [kept for kept in self.searched.known() if goal <= goes(kept, self.sizes) < goal + least]
        return sorted(found, key=sorted)

    def _few(self) -> list[int]:
        """The batches on which greedy steps are measured where all are too dear."""
        return list(range(math.ceil(len(self.searched.batches) * FEW)))

    def _greedy(self, remove: int) -> list[int]:
        """Layers in the order of SLEB, exact for few layers.

        That goes by a fixed number, not by the budget: a search for some minutes and one with the evaluations that it came to
        have to do the same.
        """
        if len(self.greedy) < remove:
            cost = sum(range(self.layers, self.layers - remove, -1))
            exact = self._whole and cost <= EXACT
            self.greedy = greedy_order(self.searched, remove, self.progress) if exact else self._shortlisted(remove)
        return self.greedy[:remove]

    def _shortlisted(self, remove: int) -> list[int]:
        """Greedy on few examples, and each step looks only at the layers that were the cheapest so far."""
        removed: list[int] = []
        ranked = list(self._one_by_one())
        for step in range(remove):
            candidates = [layer for layer in ranked if layer not in removed][:SHORTLIST]
            sets = [self.without([*removed, layer]) for layer in candidates]
            losses = self.searched.rough(sets, self._few(), self.progress, f"greedy order, step {step + 1} of {remove}")
            order = sorted(zip(losses, candidates, strict=True), key=lambda pair: (math.isnan(pair[0]), pair))
            cheapest = [layer for _, layer in order]
            removed.append(cheapest[0])
            ranked = [*cheapest, *(layer for layer in ranked if layer not in cheapest)]
        return removed

    def _one_by_one(self) -> list[int]:
        """Layers by the loss without each alone, the cheapest first: Shortened LLaMA's order (arXiv 2402.02834)."""
        if "ablation" in self.published.orders:  # the same measured on the train split
            return list(self.published.orders["ablation"])
        sets = [self.without([layer]) for layer in range(self.layers)]
        losses = self.searched.rough(sets, self._few(), self.progress, "without each layer alone")
        return sorted(range(self.layers), key=lambda layer: (math.isnan(losses[layer]), losses[layer]))

    def frontier(self) -> dict[int, Kept]:
        """The best measured set for each number of layers whose size is left, the largest first."""
        whole = goes(frozenset(), self.sizes)
        by_size: dict[int, list[Kept]] = {}
        for kept in self.searched.known():
            left = (whole - goes(kept, self.sizes)) * self.layers / whole
            by_size.setdefault(round(left), []).append(kept)
        return {size: min(by_size[size], key=self.quality) for size in sorted(by_size, reverse=True) if size}

    def explore(self, chosen: int) -> None:
        """What is left of the budget goes to the other sizes, the nearest first; greedy sets stand in for the rest."""
        others = sorted((size for size in range(1, self.layers) if size != chosen), key=lambda size: abs(size - chosen))
        for keep in others:
            if self.budget.left(self.spent) <= 0:
                break
            self.best(keep)
        removed = self.layers - chosen
        path = sorted({removed * quarter // 4 for quarter in (1, 2, 3)} - {0})
        self._measure([self.without(self._greedy(remove)) for remove in path], "smaller cuts")


class Quiet(Progress):
    """Only hears whether it has to stop: the steps of a round are too short to be shown."""

    def __init__(self, outer: Progress) -> None:
        super().__init__()
        self._outer = outer

    def check(self) -> None:
        self._outer.check()


def drop_of(search: Search, kept: Kept) -> float:
    """What a set loses on select: a difference for accuracy (0.02: two points), relative for perplexity (0.02: 2 % more)."""
    dense, metric = (search.coalitions.metric(each) for each in (search.coalitions.everything, kept))
    return dense - metric if search.coalitions.task.higher_is_better else metric / dense - 1


def within_drop(search: Search, max_drop: float) -> tuple[Kept, dict[str, Kept], bool]:
    """The smallest set whose metric is at most `max_drop` worse than the dense model's on the select split.

    Fewer layers are not always worse, so a size that fails ends nothing: where the budget allows, all sets of all sizes are
    measured; otherwise the greedy set of every size, and then the search goes on from the smallest that passed.

    Raises:
        BadTarget: the drop is not between 0 and 1, or no smaller model stays within it.
    """
    check_drop(max_drop)
    sizes = range(search.layers - 1, 0, -1)
    passed: dict[int, tuple[Kept, dict[str, Kept], bool]] = {}
    nearest = (math.inf, search.layers - 1)

    def attempt(keep: int, share: float) -> bool:
        nonlocal nearest
        found = search.best(keep, share)
        nearest = min(nearest, (drop_of(search, found[0]), keep))
        if drop_of(search, found[0]) <= max_drop:
            passed[keep] = found
        return keep in passed

    if search.reaches_all:
        for keep in sizes:
            attempt(keep, 1)
    else:
        order = search._greedy(search.layers - 1)
        path = {keep: search.without(order[: search.layers - keep]) for keep in sizes}
        search._measure(path.values(), "greedy sets of every size")
        within = [keep for keep in sizes if drop_of(search, path[keep]) <= max_drop]
        start = min(within, default=search.layers - 1)
        attempt(start, 1 / 4)
        failed, keep = 0, start - 1
        while failed < BEYOND and keep >= 1:
            failed = 0 if attempt(keep, 1 / 3) else failed + 1
            keep -= 1
    if not passed:
        drop, keep = nearest
        raise BadTarget(
            f"no smaller model stays within a drop of {max_drop:g}; the nearest measured is {drop:.4f} with "
            f"{keep} of {search.layers} layers: allow that much, or ask for a --ratio"
        )
    return passed[min(passed)]
