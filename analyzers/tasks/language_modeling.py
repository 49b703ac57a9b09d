"""Causal language modelling: predict each next token of a window of text."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analyzers.datasets import Example
from analyzers.errors import DataError
from analyzers.tasks.contract import Batch, Scores, chosen_rows


class LanguageModeling:
    name: ClassVar[str] = "language_modeling"
    metric: ClassVar[str] = "perplexity"
    higher_is_better: ClassVar[bool] = False
    labelled: ClassVar[bool] = False

    def batches(
        self,
        examples: Sequence[Example],
        tokenizer: Any,
        batch_size: int,
        max_tokens: int,
        samples: int | None = None,
        seed: int = 0,
    ) -> list[Batch]:
        """Full windows of `max_tokens` tokens, never across two groups.

        Raises:
            DataError: no group is long enough for one window.
        """
        windows = list(self._windows(examples, tokenizer, max_tokens))
        if not windows:
            raise DataError(
                f"no text of {max_tokens} tokens in {len(examples)} examples; language modelling reads windows of that "
                "length: give longer texts or a smaller --max-tokens"
            )
        if samples is not None and samples < len(windows):
            windows = [windows[row] for row in chosen_rows(len(windows), samples, seed)]
        ids = torch.tensor(windows)  # (windows, tokens)
        return [
            Batch(
                {"input_ids": rows, "attention_mask": torch.ones_like(rows)},
                rows,
                torch.arange(start, start + len(rows)),
            )
            for start, rows in ((start, ids[start : start + batch_size]) for start in range(0, len(ids), batch_size))
        ]

    def _windows(self, examples: Sequence[Example], tokenizer: Any, max_tokens: int) -> Iterator[list[int]]:
        for _, group in groupby(examples, key=lambda example: example.group):
            text = " ".join(example.text for example in group)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            for start in range(0, len(ids) - max_tokens + 1, max_tokens):
                yield ids[start : start + max_tokens]

    def scores(self, model: torch.nn.Module, batch: Batch) -> Scores:
        logits = model(**batch.inputs, use_cache=False).logits[:, :-1]  # (batch, tokens - 1, vocabulary)
        targets = batch.labels[:, 1:]
        loss = F.cross_entropy(logits.transpose(1, 2).float(), targets, reduction="none").mean(-1)
        weight = torch.full_like(loss, targets.shape[1])
        hit = (logits.detach().argmax(-1) == targets).float().mean(-1)
        return Scores(loss, weight, hit)

    def losses(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        return self.scores(model, batch).loss

    def metric_of(self, loss: np.ndarray, weight: np.ndarray, hit: np.ndarray) -> float:  # noqa: ARG002
        return math.exp(min(float((loss * weight).sum() / weight.sum()), 700.0))
