"""Sequence classification: one label a text."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analyzers.datasets import Example
from analyzers.errors import NoLabels
from analyzers.tasks.contract import Batch, Scores, chosen_rows


class Classification:
    name: ClassVar[str] = "classification"
    metric: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[bool] = True
    labelled: ClassVar[bool] = True

    def batches(
        self,
        examples: Sequence[Example],
        tokenizer: Any,
        batch_size: int,
        max_tokens: int,
        samples: int | None = None,
        seed: int = 0,
    ) -> list[Batch]:
        """Texts of similar length together, so that little is padded.

        Raises:
            NoLabels: an example has no label.
        """
        if any(example.label is None for example in examples):
            raise NoLabels("the data has no labels; classification needs a label column: name it with ?label=COLUMN")
        if samples is not None and samples < len(examples):
            examples = [examples[row] for row in chosen_rows(len(examples), samples, seed)]
        tokens = tokenizer([example.text for example in examples], truncation=True, max_length=max_tokens)
        order = np.argsort([len(ids) for ids in tokens["input_ids"]], kind="stable")
        batches = []
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            inputs = tokenizer.pad(
                {name: [column[row] for row in rows] for name, column in tokens.items()}, return_tensors="pt"
            )
            labels = torch.tensor([examples[row].label for row in rows])
            batches.append(Batch(dict(inputs), labels, torch.as_tensor(rows.copy())))
        return batches

    def run(self, model: torch.nn.Module, batch: Batch) -> None:
        model(**batch.inputs)

    def scores(self, model: torch.nn.Module, batch: Batch) -> Scores:
        logits = model(**batch.inputs).logits.float()  # (batch, classes)
        loss = F.cross_entropy(logits, batch.labels, reduction="none")
        return Scores(loss, torch.ones_like(loss), (logits.argmax(-1) == batch.labels).float())

    def losses(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        return self.scores(model, batch).loss

    def metric_of(self, loss: np.ndarray, weight: np.ndarray, hit: np.ndarray) -> float:  # noqa: ARG002
        return float(hit.mean())
