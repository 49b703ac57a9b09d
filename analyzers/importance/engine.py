"""What the importance methods share: the model, the calibration examples, and passes that are made once for all methods."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from analyzers.coalitions import Coalitions
from analyzers.errors import NotFinite
from analyzers.importance.gradients import GradientStatistics, per_example_gradients
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import LayerScore
from analyzers.samples import ROWS, Rows, spread
from analyzers.statistics import mean_intervals
from analyzers.tasks import Batch, Task


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

    @property
    def examples(self) -> int:
        return sum(len(batch) for batch in self.batches)

    @property
    def rows(self) -> Rows:
        """How many examples the methods read that cost much for each."""
        return ROWS[self.task.name]

    @cached_property
    def coalitions(self) -> Coalitions:
        """Memoised losses of sets of kept layers on the calibration examples."""
        return Coalitions(self.layered, self.task, self.batches)

    @cached_property
    def game(self) -> Coalitions:
        """The same on fewer examples, for methods that measure hundreds of sets."""
        if self.examples <= self.rows.game:
            return self.coalitions
        return Coalitions(self.layered, self.task, spread(self.batches, self.rows.game))

    @cached_property
    def gradients(self) -> GradientStatistics:
        """One gradient sweep: squared norms of per-example gradients of each block."""
        return per_example_gradients(self.layered, self.task, self.batches, self.progress)

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
        means, lows, highs = mean_intervals(values, self.seed)
        return [
            LayerScore(layer=layer, value=float(mean), low=float(low), high=float(high))
            for layer, (mean, low, high) in enumerate(zip(means, lows, highs, strict=True))
        ]
