"""Better sets of units (blocks, or parts of blocks) from good ones, as EvoPress does (arXiv 2410.14649).

A round changes the best sets that are known, keeping the size that is removed; measures what came out on a few examples,
the best quarter of that on half of them, and the best of these on all. EvoPress changes at random. Here each unit of the
best set is first taken out or put back alone, on few examples: the sum of these effects says which of many changes are
worth a measurement, and only a quarter is left to chance.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from analyzers.coalitions import Coalitions, Kept
from analyzers.progress import Progress

PARENTS = 4
OFFSPRING = 8  # that are measured in a round
IDEAS = 32  # for each of these, from which the effects of single units choose
FIRST, SECOND = 1 / 4, 1 / 2  # of the examples, before all
SWAPS = 3  # at most, in one change
LEAST = 8  # units that are tried out in a set, the cheapest half of all if that is more


def goes(kept: Kept, sizes: Sequence[int]) -> int:
    """Size of what a set leaves out."""
    return sum(size for unit, size in enumerate(sizes) if unit not in kept)


def change(kept: frozenset[int], sizes: Sequence[int], goal: int, generator: np.random.Generator) -> frozenset[int]:
    """Another set that leaves out at least `goal` and no unit more than that takes.

    One removed unit comes back, kept ones go until the goal is reached again, and what is then too much comes back.
    """
    units = range(len(sizes))
    removed = [unit for unit in units if unit not in kept]
    total = sum(sizes[unit] for unit in removed)
    for _ in range(min(generator.integers(1, SWAPS + 1, size=2))):  # one swap is the likeliest, as in EvoPress
        back = removed.pop(int(generator.integers(len(removed))))
        total -= sizes[back]
        others = [unit for unit in units if unit not in removed and unit != back]
        # One size a change: a part of 3 is exchanged for one of 3 or for three of 1.
        like = sizes[others[int(generator.integers(len(others)))]] if others else 0
        others = [unit for unit in others if sizes[unit] == like]
        while total < goal and others:
            removed.append(others.pop(int(generator.integers(len(others)))))
            total += like
        if total < goal:
            removed.append(back)
            total += sizes[back]
        for unit in [removed[place] for place in generator.permutation(len(removed))] if total > goal else ():
            if total - sizes[unit] >= goal:
                removed.remove(unit)
                total -= sizes[unit]
    return frozenset(units) - frozenset(removed)


@dataclass
class Evolution:
    """A population of sets that leave out at least `goal`. What is exchanged are groups of units: whole, or none of one."""

    coalitions: Coalitions
    groups: Sequence[frozenset[int]]  # of units that go and come back together
    sizes: Sequence[int]  # of the groups
    goal: int
    quality: Callable[[Kept], tuple[float, ...]]  # sorts better ones first; asked of sets that saw all examples
    generator: np.random.Generator
    progress: Progress
    population: dict[Kept, float] = field(default_factory=dict)  # saw all examples -> mean loss
    # Of each group, when last it was taken out: the lower half is tried out.
    cost: dict[int, float] = field(default_factory=dict)
    rounds: int = 0
    _tried: set[Kept] = field(default_factory=set)
    _probed: Kept | None = None
    _on_batches: list[int] = field(default_factory=list)  # that it was probed on
    _inside: list[int] = field(default_factory=list)  # groups of it that were taken out
    _effects: dict[int, float] = field(default_factory=dict)  # of a change of each group on the loss of the probed set

    def add(self, sets: Sequence[Kept]) -> None:
        """Take in sets that saw all examples; those that hold a part of a group are none of this population."""
        sets = [kept for kept in sets if all(group <= kept or not group & kept for group in self.groups)]
        self._tried.update(sets)
        self.population.update({kept: self.coalitions.mean_loss(kept) for kept in sets})

    def best(self, count: int = 1) -> list[Kept]:
        return sorted(self.population, key=self.quality)[:count]

    def round(self) -> bool:
        """One round; whether there was anything left to try."""
        numbers = self._batches()
        parents = self.best(PARENTS)
        self._probe(parents[0], numbers[: math.ceil(len(numbers) * FIRST)])
        field = self._offspring(parents)
        if not field:
            return False
        for share in (FIRST, SECOND):
            part = numbers[: math.ceil(len(numbers) * share)]
            losses = self._on(field, part)
            # No better than the worst parent where both were measured: more examples would be spent in vain.
            worst = max(self._on(parents, part))
            ranked = sorted(range(len(field)), key=lambda row: losses[row])[: math.ceil(len(field) / 4)]
            field = [field[row] for row in ranked if losses[row] <= worst]
        self.coalitions.measure(field, self.progress)
        self.add(field)
        self.rounds += 1
        return True

    def _batches(self) -> list[int]:
        """All batches, begun elsewhere in each round: no few examples decide alone what is tried further."""
        count = len(self.coalitions.batches)
        begin = self.rounds * math.ceil(count * FIRST)
        return [(begin + step) % count for step in range(count)]

    def _on(self, sets: Sequence[Kept], part: Sequence[int]) -> list[float]:
        losses = self.coalitions.rough(sets, part, self.progress)
        return [loss if math.isfinite(loss) else math.inf for loss in losses]

    def _probe(self, parent: Kept, part: Sequence[int]) -> None:
        """What it does to the best set when one group more goes, or one comes back.

        A set that stays the best is probed on more examples with each round.
        """
        if parent != self._probed:
            self._probed, self._on_batches, self._inside = parent, [], self._cheap(parent)
        self._on_batches += [number for number in part if number not in self._on_batches]
        removed = sorted(set(range(len(self.groups))) - self._whole(parent))
        changed = [parent - self.groups[each] for each in self._inside]
        changed += [parent | self.groups[each] for each in removed]
        before, *after = self._on([parent, *changed], self._on_batches)
        self._effects = {each: loss - before for each, loss in zip([*self._inside, *removed], after, strict=True)}
        self.cost.update({each: self._effects[each] for each in self._inside})

    def _whole(self, kept: Kept) -> frozenset[int]:
        """The groups that a set keeps."""
        return frozenset(number for number, group in enumerate(self.groups) if group <= kept)

    def _cheap(self, parent: Kept) -> list[int]:
        """The half of a set whose groups were the cheapest when last they were taken out, all where that is not known."""
        inside = sorted(self._whole(parent), key=lambda each: (self.cost.get(each, 0.0), each))
        return inside if len(self.cost) < len(self.sizes) // 2 else inside[: max(LEAST, len(inside) // 2)]

    def _offspring(self, parents: Sequence[Kept]) -> list[Kept]:
        ideas: dict[Kept, None] = {}
        for _ in range(OFFSPRING // 4):
            parent = parents[int(self.generator.integers(len(parents)))]
            ideas[self._changed(parent)] = None
        chance = [kept for kept in ideas if kept not in self._tried]
        ideas = {}
        for _ in range(IDEAS * OFFSPRING):
            ideas[self._changed(parents[0])] = None
        rest = sorted((kept for kept in ideas if kept not in {*self._tried, *chance}), key=self._expected)
        chosen = [*chance, *rest[: OFFSPRING - len(chance)]]
        self._tried.update(chosen)
        return chosen

    def _changed(self, kept: Kept) -> Kept:
        groups = change(self._whole(kept), self.sizes, self.goal, self.generator)
        return frozenset(unit for each in groups for unit in self.groups[each])

    def _expected(self, kept: Kept) -> float:
        """Change of the loss as the sum over the groups that differ from the probed set."""
        changed = self._whole(kept) ^ self._whole(self._probed or kept)
        return sum(self._effects.get(each, math.inf) for each in changed)
