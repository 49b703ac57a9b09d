"""One forward sweep over the examples for everything that reads activations."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from analyzers.layers import LayeredModel, frozen
from analyzers.progress import Progress
from analyzers.tasks import Batch, Task


class Reducer(Protocol):
    """What one method keeps of a sweep: running sums or a few numbers an example, never the hidden states themselves.

    Called with `begin`, then `layer` for each block as it runs, then `end`, for each batch; `result` comes last.
    """

    name: ClassVar[str]  # of the piece that is kept on disk

    def __init__(self, layered: LayeredModel, task: Task, seed: int) -> None: ...

    def begin(self, batch: Batch) -> None: ...

    def layer(self, index: int, given: Tensor, output: Tensor) -> None:
        """Input and output of a block, both (batch, tokens, width)."""
        ...

    def end(self) -> None: ...

    def result(self) -> dict[str, np.ndarray]: ...


@torch.no_grad()
def sweep(
    layered: LayeredModel,
    task: Task,
    batches: Sequence[Batch],
    reducers: Sequence[Reducer],
    progress: Progress,
) -> None:
    """Run every batch through the blocks once and show what passes to all reducers.

    Raises:
        Cancelled: the user stopped it.
    """

    def show(index: int, given: Tensor, output: Tensor) -> None:
        for reducer in reducers:
            reducer.layer(index, given, output)

    with frozen(layered.model):
        for batch in progress.track(batches, len(batches), "hidden states"):
            on_device = batch.to(layered.device)
            for reducer in reducers:
                reducer.begin(on_device)
            with layered.capturing(show):
                task.run(layered.model, on_device)
            for reducer in reducers:
                reducer.end()
