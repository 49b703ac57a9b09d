"""The contract of a task, and which task a loaded model does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from analyzers.datasets import Example
from analyzers.errors import ModelError


@dataclass(frozen=True)
class Batch:
    """Inputs of one forward pass.

    `inputs` are the keyword arguments of the model's forward, each (batch, tokens); `labels` is (batch,) for
    classification and (batch, tokens) for language modelling; `indices` says which example each row is, (batch,).
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    indices: Tensor

    def to(self, device: torch.device) -> "Batch":
        return replace(self, inputs={k: v.to(device) for k, v in self.inputs.items()}, labels=self.labels.to(device))

    def rows(self, start: int, stop: int) -> "Batch":
        """Examples that stand together, as a batch of their own."""
        return self.pick(list(range(len(self)))[start:stop])

    def pick(self, rows: list[int]) -> "Batch":
        """Some of the examples, as a batch of their own."""
        return Batch({k: v[rows] for k, v in self.inputs.items()}, self.labels[rows], self.indices[rows])

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def tokens(self) -> int:
        """Of each row, padding counted."""
        return next(iter(self.inputs.values())).shape[1]


class Scores(NamedTuple):
    """What one forward pass says of each example; each of shape (batch,)."""

    loss: Tensor  # nats; for a language model the mean over the predicted tokens
    weight: Tensor  # predicted tokens; 1 for classification
    hit: Tensor  # share of right predictions, 0 to 1


def chosen_rows(count: int, samples: int, seed: int) -> list[int]:
    """So many of `count` rows at random, in their order."""
    return sorted(np.random.default_rng(seed).choice(count, samples, replace=False).tolist())


class Task(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def metric(self) -> str: ...

    @property
    def higher_is_better(self) -> bool: ...

    @property
    def labelled(self) -> bool:
        """Whether examples need a label."""
        ...

    def batches(
        self,
        examples: Sequence[Example],
        tokenizer: Any,
        batch_size: int,
        max_tokens: int,
        samples: int | None = None,
        seed: int = 0,
    ) -> list[Batch]:
        """Examples as batches of similar length. Language modelling makes windows: one row is one window.

        Args:
            examples: of one split.
            tokenizer: of the model.
            batch_size: rows of a batch.
            max_tokens: longer texts are cut; windows have exactly so many.
            samples: take only so many rows, at random.
            seed: of that choice.
        """
        ...

    def run(self, model: torch.nn.Module, batch: Batch) -> None:
        """One forward pass through the blocks, for those who watch them; the head may be left out."""
        ...

    def scores(self, model: torch.nn.Module, batch: Batch) -> Scores:
        """One forward pass."""
        ...

    def losses(self, model: torch.nn.Module, batch: Batch) -> Tensor:
        """Loss of each example in nats, (batch,), with gradient."""
        ...

    def metric_of(self, loss: np.ndarray, weight: np.ndarray, hit: np.ndarray) -> float:
        """The metric of examples with these scores, each (examples,)."""
        ...


def task_of(model: Any) -> Task:
    """The task that a model's head was made for.

    Raises:
        ModelError: the model has no head that this project measures.
    """
    from analyzers.tasks.classification import Classification
    from analyzers.tasks.language_modeling import LanguageModeling, has_plain_head

    name = type(model).__name__
    if name.endswith("ForSequenceClassification"):
        return Classification()
    if name.endswith(("ForCausalLM", "LMHeadModel")):
        return LanguageModeling(plain_head=has_plain_head(model))
    raise ModelError(
        f"{name} has no head to measure; there must be one for sequence classification or causal language modelling: "
        "give it one with: layerwise train MODEL DATA"
    )
