"""How far a smaller model's predictions are from those of the dense model, whatever is right."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from analyzers.tasks.contract import Batch, Scores, Task
from analyzers.tasks.wrapped import Wrapped


class Divergence(Wrapped):
    """A task whose loss is the Kullback-Leibler divergence KL(dense ‖ model) of the predictions, in nats.

    For a language model the mean over the predicted tokens. The dense model's log-probabilities are taken from the first
    pass over each batch and kept: 4 bytes for each token and word of the vocabulary, 800 MB for 32 windows of 128 tokens and
    49,152 words. EvoPress (arXiv 2410.14649) chooses by it.
    """

    name: ClassVar[str] = "divergence"

    def __init__(self, task: Task, dense: nn.Module, batches: Sequence[Batch]) -> None:
        """
        Args:
            task: what the model does.
            dense: the model as it is now, with all its layers.
            batches: all that will ever be asked for.
        """
        super().__init__(task)
        self.metric, self.higher_is_better, self.labelled = "divergence", False, task.labelled
        self._dense: dict[int, Tensor] = {}  # example -> (tokens - 1, vocabulary) or (1, classes)
        training = dense.training
        dense.eval()
        device = next(dense.parameters()).device
        with torch.no_grad():
            for batch in batches:
                for row, chances in zip(batch.indices.tolist(), self._chances(dense, batch.to(device)), strict=True):
                    self._dense[row] = chances
        dense.train(training)

    def scores(self, model: nn.Module, batch: Batch) -> Scores:
        """`hit` is how often the model's first choice is the dense model's."""
        loss, hit = [], []
        for row, found in zip(batch.indices.tolist(), self._chances(model, batch), strict=True):
            dense = self._dense[row]
            loss.append((dense.exp() * (dense - found)).sum(-1).mean())
            hit.append((dense.argmax(-1) == found.argmax(-1)).float().mean())
        losses = torch.stack(loss)
        return Scores(losses, torch.ones_like(losses), torch.stack(hit))

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.scores(model, batch).loss

    def metric_of(self, loss: np.ndarray, weight: np.ndarray, hit: np.ndarray) -> float:  # noqa: ARG002
        return float(loss.mean())

    def _chances(self, model: nn.Module, batch: Batch) -> list[Tensor]:
        """Log-probabilities of each example, one example at a time: all at once would be the largest tensor there is."""
        logits = model(**batch.inputs, **({} if self.task.labelled else {"use_cache": False})).logits
        if self.task.labelled:
            return list(logits.float().log_softmax(-1).unsqueeze(1))
        return [row[:-1].float().log_softmax(-1) for row in logits]
