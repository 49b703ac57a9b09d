"""Losses of a model with some of its layers skipped, each set of kept layers measured once.

Ablation, SHAP, deletion curves and the plan search ask for the same sets, so they share one memo. Within a batch the sets
are walked like a prefix tree: what two sets have in common before they part is computed once.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise

import numpy as np
import torch
from torch import Tensor

from analyzers.errors import NotFinite
from analyzers.executor import Executor
from analyzers.journal import Journal
from analyzers.layers import LayeredModel, frozen
from analyzers.progress import Progress
from analyzers.tasks import Batch, Task

Kept = frozenset[int]


@dataclass(frozen=True)
class Losses:
    """What a model did on each example; all of shape (examples,)."""

    loss: np.ndarray  # nats
    weight: np.ndarray
    hit: np.ndarray


@dataclass(frozen=True)
class Share:
    """Sets to be measured on one batch, sorted so that those with a common beginning stand together."""

    batch: Batch
    sets: list[Kept]


class Coalitions:
    """Measures sets of kept layers on fixed batches, and remembers what it measured."""

    def __init__(
        self,
        layered: LayeredModel,
        task: Task,
        batches: Sequence[Batch],
        journal: Journal | None = None,
        name: str = "sets",
        executor: Executor | None = None,
    ) -> None:
        """
        Args:
            layered: the model.
            task: gives the losses.
            batches: rows are numbered from 0 by their `indices`.
            journal: keeps what each batch gave, so that a killed computation goes on; holds what an earlier one kept.
            name: tells these batches from others in the same journal.
            executor: computes the losses.
        """
        self.layered = layered
        self.task = task
        self.batches = batches
        self.everything: Kept = frozenset(range(len(layered)))
        self.examples = sum(len(batch) for batch in batches)
        self._measured: dict[Kept, Losses] = {}
        self._parts: dict[tuple[Kept, int], np.ndarray] = {}  # of sets that not all batches have seen: (3, rows)
        # What an earlier computation kept. It counts from when it is asked for again: a search that is taken up then
        # sees the same at each of its steps, and decides the same.
        self._recalled: dict[tuple[Kept, int], np.ndarray] = {}
        self._rows = 0
        self._executor = executor or Executor()
        self._journal, self._name, self._pieces = journal or Journal(), name, 0
        self._recall()

    @property
    def evaluations(self) -> int:
        """How many different sets were measured on all examples, those of an earlier computation with them."""
        seen = Counter(kept for kept, _ in [*self._recalled, *self._parts])
        return len(self._measured) + sum(batches == len(self.batches) for batches in seen.values())

    @property
    def spent(self) -> float:
        """Examples that sets were measured on, in units of one set on all examples."""
        return self._rows / self.examples

    def known(self) -> list[Kept]:
        return list(self._measured)

    def __getitem__(self, kept: Kept) -> Losses:
        return self.measure([kept])[0]

    def metric(self, kept: Kept) -> float:
        losses = self[kept]
        return self.task.metric_of(losses.loss, losses.weight, losses.hit)

    def mean_loss(self, kept: Kept) -> float:
        """Mean loss over examples in nats (over tokens for a language model: windows are of one length)."""
        return float(self[kept].loss.mean())

    def measure(
        self, sets: Iterable[Kept], progress: Progress | None = None, step: str = "measuring sets of layers"
    ) -> list[Losses]:
        """Losses of each set, in the order given.

        Raises:
            NotFinite: the complete model has a loss that is NaN or infinite.
            Cancelled: the user stopped; sets that were finished before this call stay remembered.
        """
        wanted = list(sets)
        for kept in self._pass(wanted, range(len(self.batches)), progress, step):
            self._complete(kept)
        return [self._measured[kept] for kept in wanted]

    def rough(
        self,
        sets: Iterable[Kept],
        numbers: Sequence[int],
        progress: Progress | None = None,
        step: str = "measuring sets of layers",
    ) -> list[float]:
        """Mean loss of each set on some batches alone, in nats: cheaper than `measure`, which then measures the rest.

        Args:
            sets: of kept layers.
            numbers: of the batches, positions in `batches`.
            progress: ticks once a batch.
            step: what is shown of it.

        Raises:
            Cancelled: the user stopped.
        """
        wanted = list(sets)
        self._pass(wanted, numbers, progress, step)
        return [self._mean_on(kept, numbers) for kept in wanted]

    def _pass(self, sets: list[Kept], numbers: Sequence[int], progress: Progress | None, step: str) -> list[Kept]:
        """Let the batches see those sets that are not complete; which these are."""
        new = sorted(set(sets) - self._measured.keys(), key=self._skip_first)
        if new:
            progress = progress or Progress()
            shares = {
                number: self._shares(number, new, -(-self._executor.workers // len(numbers))) for number in numbers
            }
            found = self._executor.map(
                measured, (self.layered, self.task), chain.from_iterable(shares.values()), progress
            )
            for number in progress.track(numbers, len(numbers), step):
                for share in shares[number]:
                    self._take(number, share.sets, next(found))
        return new

    def _shares(self, number: int, new: list[Kept], most: int) -> list[Share]:
        """What this batch has not seen, in at most so many parts: in one it is the least work, in several it is sooner there."""
        left = [kept for kept in new if (kept, number) not in self._parts]
        self._rows += len(left) * len(self.batches[number])
        sets = self._again(number, left)
        size = max(1, -(-len(sets) // most))
        return [Share(self.batches[number], sets[start : start + size]) for start in range(0, len(sets), size)]

    def _again(self, number: int, sets: list[Kept]) -> list[Kept]:
        """Take what an earlier computation found; the sets that it did not measure on this batch."""
        found = {kept: self._recalled.pop((kept, number)) for kept in sets if (kept, number) in self._recalled}
        self._parts.update({(kept, number): part for kept, part in found.items()})
        return [kept for kept in sets if kept not in found]

    def _mean_on(self, kept: Kept, numbers: Sequence[int]) -> float:
        if kept in self._measured:
            rows = np.concatenate([self.batches[number].indices.numpy() for number in numbers])
            return float(self._measured[kept].loss[rows].mean())
        return float(np.concatenate([self._parts[kept, number][0] for number in numbers]).mean())

    def _take(self, number: int, sets: list[Kept], found: np.ndarray) -> None:
        """Remember and keep what a batch gave; `found` is (sets, 3, rows)."""
        self._parts.update({(kept, number): part for kept, part in zip(sets, found, strict=True)})
        masks = np.array([self._skip_first(kept) for kept in sets])
        self._journal.keep(f"{self._name}-{self._pieces:06d}", masks=masks, batch=np.array(number), found=found)
        self._pieces += 1

    def _complete(self, kept: Kept) -> None:
        """All batches have seen the set: it becomes a measured one."""
        found = np.zeros((3, self.examples))
        for number, batch in enumerate(self.batches):
            found[:, batch.indices.numpy()] = self._parts.pop((kept, number))
        self._check(kept, found[0])
        self._measured[kept] = Losses(*found)

    def _recall(self) -> None:
        """Take in what an earlier, killed computation kept."""
        for piece in self._journal.names(f"{self._name}-"):
            self._pieces += 1
            if arrays := self._journal.find(piece):
                for mask, found in zip(arrays["masks"], arrays["found"], strict=True):
                    self._recalled[frozenset(np.flatnonzero(mask).tolist()), int(arrays["batch"])] = found

    def _skip_first(self, kept: Kept) -> tuple[bool, ...]:
        # Sets that skip a layer come before those that keep it: a hidden state is then needed by fewer later sets, and
        # ablation of all layers holds one hidden state, not one for each layer.
        return _path(kept, len(self.layered))

    def _check(self, kept: Kept, loss: np.ndarray) -> None:
        if kept == self.everything and not np.isfinite(loss).all():
            example = int(np.flatnonzero(~np.isfinite(loss))[0])
            number, batch = next((n, b) for n, b in enumerate(self.batches) if example in b.indices)
            raise NotFinite(
                f"the loss of example {example}, in batch {number + 1} of {len(self.batches)}, is {loss[example]} with all "
                f"layers in place; {self._first_broken(batch)}; scores need finite losses: look at that text, or train the "
                "model again with a lower --learning-rate"
            )

    @torch.no_grad()
    def _first_broken(self, batch: Batch) -> str:
        broken: list[int] = []

        def see(layer: int, given: Tensor, output: Tensor) -> None:  # noqa: ARG001
            if not torch.isfinite(output).all():
                broken.append(layer)

        with frozen(self.layered.model), self.layered.capturing(see):
            self.task.run(self.layered.model, batch.to(self.layered.device))
        return f"layer {broken[0]} is the first to give such numbers" if broken else "all layers give finite numbers"


def measured(layered: LayeredModel, task: Task, share: Share, progress: Progress) -> np.ndarray:
    """Scores of each set on a batch: (sets, 3, rows).

    Raises:
        ModelError: a single example does not fit into memory.
    """
    on_device = share.batch.to(layered.device)

    def walked(rows: slice) -> np.ndarray:
        part = on_device.rows(rows.start, rows.stop)
        return np.stack(
            [torch.stack(scores).double().cpu().numpy() for scores in _walk(layered, task, part, share.sets)]
        )

    with frozen(layered.model):  # with dropout no two measurements would be of the same model
        parts = layered.room.passed(len(share.batch), share.batch.tokens, walked, progress)  # each (sets, 3, rows)
    return np.concatenate(parts, axis=2)


@torch.no_grad()
def _walk(layered: LayeredModel, task: Task, batch: Batch, sets: Sequence[Kept]) -> Iterable[tuple[Tensor, ...]]:
    """Scores of each set on one batch. `branches` holds the hidden states at which later sets part from this one."""
    paths = [_path(kept, len(layered)) for kept in sets]
    shared = [common_prefix(a, b) for a, b in pairwise(paths)]  # with the next set
    branches: dict[int, Tensor] = {}
    for row, kept in enumerate(sets):
        common = shared[row - 1] if row else 0
        branches = {depth: hidden for depth, hidden in branches.items() if depth <= common}
        start = max(branches, default=0)
        wanted = {depth for depth in _falling_minima(shared[row:]) if depth > start}
        skip = {layer for layer in range(start, len(paths[row])) if layer not in kept}
        replaying = layered.replaying(start, branches[start] if start else torch.empty(0))
        with layered.skipping(skip), replaying, layered.watching_inputs(wanted) as seen:
            scores = task.scores(layered.model, batch)
        branches.update(seen)
        yield scores


def _path(kept: Kept, layers: int) -> tuple[bool, ...]:
    return tuple(layer in kept for layer in range(layers))


def subsets(layers: int, least: int = 0) -> list[Kept]:
    """All sets of at least so many kept layers."""
    return [frozenset(kept) for size in range(least, layers + 1) for kept in combinations(range(layers), size)]


def common_prefix(a: Sequence[bool], b: Sequence[bool]) -> int:
    """How many layers two sets have alike from the first on."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


def _falling_minima(depths: Iterable[int]) -> set[int]:
    """Each depth that is smaller than all before it: where later sets branch off the current one."""
    minima: set[int] = set()
    lowest: float = float("inf")
    for depth in depths:
        if depth < lowest:
            minima.add(depth)
            lowest = depth
        if depth == 0:
            break
    return minima - {0}
