"""What the importance methods share: the model, the calibration examples, and passes that are made once for all methods."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from analyzers.coalitions import Coalitions
from analyzers.errors import NotFinite
from analyzers.executor import Executor, Pending
from analyzers.importance.gradients import GradientStatistics, per_example_gradients
from analyzers.importance.registry import Method, choose
from analyzers.journal import Journal
from analyzers.layers import LayeredModel, frozen
from analyzers.progress import Progress
from analyzers.records import LayerScore
from analyzers.samples import ROWS, Rows, spread
from analyzers.statistics import mean_intervals
from analyzers.sweep import Reducer, sweep
from analyzers.tasks import Batch, Task


class Found(NamedTuple):
    """What a method gave."""

    values: np.ndarray  # (examples, layers)
    told: dict[str, float]  # diagnostics that it added


class Asked(NamedTuple):
    """One method, to be computed in another process."""

    method: str
    seed: int
    whole: bool


@dataclass
class Engine:
    """Calibration data and lazily made shared passes of one analysis."""

    layered: LayeredModel
    task: Task
    tokenizer: Any
    batches: Sequence[Batch]
    seed: int = 0
    progress: Progress = field(default_factory=Progress)
    diagnostics: dict[str, float] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal)
    values: dict[str, np.ndarray] = field(default_factory=dict)  # by method: (examples, layers)
    wanted: tuple[type[Reducer], ...] = ()  # what the methods of this analysis keep of the forward sweep
    whole: bool = False  # the methods that cost much for each example read all of them too
    executor: Executor = field(default_factory=Executor)
    _reduced: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    _begun: dict[str, Pending[Found]] = field(default_factory=dict)  # methods that are computed elsewhere

    def reduced(self, kind: type[Reducer]) -> dict[str, np.ndarray]:
        """What a reducer keeps of the forward sweep; the first call makes the sweep for all that are wanted."""
        if kind.name not in self._reduced:
            self._sweep([each for each in dict.fromkeys((kind, *self.wanted)) if each.name not in self._reduced])
        return self._reduced[kind.name]

    def _sweep(self, kinds: list[type[Reducer]]) -> None:
        kept = {kind.name: self.journal.find(f"sweep-{kind.name}") for kind in kinds}
        self._reduced.update({name: found for name, found in kept.items() if found})
        reducers = [kind(self.layered, self.task, self.seed) for kind in kinds if kind.name not in self._reduced]
        if reducers:
            sweep(self.layered, self.task, self.batches, reducers, self.progress)
        for reducer in reducers:
            self._reduced[reducer.name] = reducer.result()
            self.journal.keep(f"sweep-{reducer.name}", **self._reduced[reducer.name])

    @property
    def examples(self) -> int:
        return sum(len(batch) for batch in self.batches)

    @property
    def rows(self) -> Rows:
        """How many examples the methods read that cost much for each."""
        rows = ROWS[self.task.name]
        return rows._replace(path=self.examples, game=self.examples) if self.whole else rows

    @cached_property
    def width(self) -> int:
        """Of the hidden states."""
        widths: list[int] = []
        one = self.batches[0].rows(0, 1).to(self.layered.device)

        def see(layer: int, given: Tensor, output: Tensor) -> None:  # noqa: ARG001
            widths.append(output.shape[-1])

        with torch.no_grad(), frozen(self.layered.model), self.layered.capturing(see):
            self.task.run(self.layered.model, one)
        return max(widths)

    @cached_property
    def coalitions(self) -> Coalitions:
        """Memoised losses of sets of kept layers on the calibration examples."""
        return Coalitions(self.layered, self.task, self.batches, self.journal, "calibration", self.executor)

    @cached_property
    def game(self) -> Coalitions:
        """The same on fewer examples, for methods that measure hundreds of sets."""
        if self.examples <= self.rows.game:
            return self.coalitions
        rows = spread(self.batches, self.rows.game)
        return Coalitions(self.layered, self.task, rows, self.journal, "game", self.executor)

    @cached_property
    def gradients(self) -> GradientStatistics:
        """One gradient sweep: squared norms of per-example gradients of each block."""
        return per_example_gradients(self.layered, self.task, self.batches, self.progress, self.journal, self.executor)

    def begin(self, methods: Iterable[Method]) -> set[str]:
        """Let methods that share no passes be computed elsewhere, if there is an elsewhere; which these are."""
        for method in methods:
            if self.executor.elsewhere and method.alone and self.journal.find(_piece(method.id)) is None:
                asked = Asked(method.id, self.seed, self.whole)
                shared = (self.layered, self.task, self.tokenizer, self.batches)
                keep = partial(self._keep, method.id)
                self._begun[method.id] = self.executor.submit(scored_alone, shared, asked, keep)
        return set(self._begun)

    def score(self, method: Method) -> list[LayerScore]:
        """Scores by one method; those of an earlier, killed analysis are taken from the journal.

        Raises:
            LayerwiseError: what the method raises.
        """
        if kept := self.journal.find(_piece(method.id)):
            self.diagnostics.update(zip(kept["names"].tolist(), kept["numbers"].tolist(), strict=True))
            return self.scores(method.id, kept["values"])
        if method.id in self._begun:
            found = self._begun.pop(method.id).result(self.progress)
            self.diagnostics.update(found.told)
            return self.scores(method.id, found.values)
        before = dict(self.diagnostics)
        scores = method.score(self)
        told = {name: value for name, value in self.diagnostics.items() if before.get(name) != value}
        self._keep(method.id, Found(self.values[method.id], told))
        return scores

    def _keep(self, method: str, found: Found) -> None:
        names, numbers = np.array(list(found.told), dtype=str), np.array(list(found.told.values()), dtype=float)
        self.journal.keep(_piece(method), values=found.values, names=names, numbers=numbers)

    def scores(self, method: str, values: np.ndarray) -> list[LayerScore]:
        """Means over examples with their intervals.

        Args:
            method: for the message, when a value is not finite.
            values: (examples, layers).

        Raises:
            NotFinite: a layer's value is NaN or infinite.
        """
        broken = np.argwhere(~np.isfinite(values))
        if len(broken):
            example, layer = (int(i) for i in broken[0])
            raise NotFinite(
                f"{method} gives {values[example, layer]} for example {example} at layer {layer}; scores need finite values: "
                "leave that text out, or leave the method out with --methods"
            )
        self.values[method] = values
        means, lows, highs = mean_intervals(values, self.seed)
        return [
            LayerScore(layer=layer, value=float(mean), low=float(low), high=float(high))
            for layer, (mean, low, high) in enumerate(zip(means, lows, highs, strict=True))
        ]


def scored_alone(
    layered: LayeredModel, task: Task, tokenizer: Any, batches: Sequence[Batch], asked: Asked, progress: Progress
) -> Found:
    """One method by itself, as another process computes it.

    Raises:
        LayerwiseError: what the method raises.
    """
    engine = Engine(layered, task, tokenizer, batches, asked.seed, progress, whole=asked.whole)
    (method,) = choose((asked.method,))
    engine.score(method)
    return Found(engine.values[method.id], engine.diagnostics)


def _piece(method: str) -> str:
    return f"method-{method}"
