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
from analyzers.tasks.next_token import next_token_losses


class LanguageModeling:
    name: ClassVar[str] = "language_modeling"
    metric: ClassVar[str] = "perplexity"
    higher_is_better: ClassVar[bool] = False
    labelled: ClassVar[bool] = False

    def __init__(self, plain_head: bool = False) -> None:
        """`plain_head`: the logits are the output embedding of the last hidden states and nothing else."""
        self.plain_head = plain_head

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

    def run(self, model: torch.nn.Module, batch: Batch) -> None:
        body: Any = model.base_model if self.plain_head else model
        body(**batch.inputs, use_cache=False)

    def scores(self, model: torch.nn.Module, batch: Batch) -> Scores:
        given: Any = model
        targets = batch.labels[:, 1:]  # (batch, tokens - 1)
        head = given.get_output_embeddings() if self.plain_head else None
        if head is None or (torch.is_grad_enabled() and head.weight.requires_grad):
            logits = given(**batch.inputs, use_cache=False).logits[:, :-1]  # (batch, tokens - 1, vocabulary)
            # Flat: over a transposed axis the softmax of a large vocabulary loses 1e-4 nats in float32.
            flat = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
            loss = flat.view(targets.shape)
            hit = (logits.detach().argmax(-1) == targets).float()
        else:
            hidden = given.base_model(**batch.inputs, use_cache=False).last_hidden_state[:, :-1]
            loss, hit = next_token_losses(hidden, head, targets)
        return Scores(loss.mean(-1), torch.full_like(loss[:, 0], targets.shape[1]), hit.mean(-1))

    def losses(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        return self.scores(model, batch).loss

    def metric_of(self, loss: np.ndarray, weight: np.ndarray, hit: np.ndarray) -> float:  # noqa: ARG002
        return math.exp(min(float((loss * weight).sum() / weight.sum()), 700.0))


@torch.no_grad()
def has_plain_head(model: Any) -> bool:
    """Whether logits are the output embedding of the last hidden states: tried, since some models scale or cap them."""
    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear):
        return False
    ids = torch.arange(1, 5, device=head.weight.device).unsqueeze(0)
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    logits = model(input_ids=ids, use_cache=False).logits
    return torch.allclose(head(hidden).float(), logits.float(), rtol=1e-4, atol=1e-4)
