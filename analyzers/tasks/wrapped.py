"""What tasks share that take everything from another task but the loss."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from analyzers.datasets import Example
from analyzers.tasks.contract import Batch, Task


class Wrapped:
    """Batches and passes are those of the task within."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def batches(self, examples: Sequence[Example], *how: Any, **named: Any) -> list[Batch]:
        return self.task.batches(examples, *how, **named)

    def run(self, model: nn.Module, batch: Batch) -> None:
        self.task.run(model, batch)
