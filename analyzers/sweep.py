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
        ModelError: a single example does not fit into memory.
    """

    def show(index: int, given: Tensor, output: Tensor) -> None:
        for reducer in reducers:
            reducer.layer(index, given, output)

    def trial(rows: slice) -> None:
        with layered.capturing(lambda *_: None):
            task.run(layered.model, largest.rows(rows.start, rows.stop).to(layered.device))

    room = layered.room
    with frozen(layered.model):
        progress.check()
        # Reducers cannot forget what they saw of a batch that did not fit, so what fits is known before they see any.
        largest = max(batches, key=lambda batch: len(batch) * batch.tokens)
        if not room.proven(len(largest), largest.tokens):
            room.passed(len(largest), largest.tokens, trial, progress)
        for batch in progress.track(batches, len(batches), "hidden states"):
            for rows in room.parts(len(batch), batch.tokens):
                part = batch.rows(rows.start, rows.stop).to(layered.device)
                for reducer in reducers:
                    reducer.begin(part)
                with layered.capturing(show):
                    task.run(layered.model, part)
                for reducer in reducers:
                    reducer.end()
