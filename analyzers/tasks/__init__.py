"""What a model is asked to do: how examples become batches, the loss of each example, the metric. One file a task."""

from analyzers.tasks.contract import Batch, Scores, Task, task_of

__all__ = ["Batch", "Scores", "Task", "task_of"]
