"""What the contract over architectures expects of one, a task that fits any model, and random inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from analyzers.tasks import Batch
from analyzers.tasks.contract import Scores

VOCABULARY = 32
ROWS = 3
TOKENS = 6
IMAGE_TOKEN = 31
IMAGE = 32

Inputs = dict[str, Tensor]


@dataclass(frozen=True)
class Architecture:
    """What the contract expects of one architecture."""

    model: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    blocks: int
    main: tuple[str, ...] = ("last_hidden_state",)  # the outputs that the task's loss is made of; () is the only one
    replayed: frozenset[int] | None = None  # blocks from which a replay goes on; None: from every block
    removals: tuple[tuple[int, ...], ...] = ()  # sets that are removed, beside every block alone
    makers: frozenset[int] = (
        frozenset()
    )  # blocks that compute what later ones need, and run even where they are skipped
    chained: bool = True  # a block receives what the one before it gave, and nothing happens between
    refused: Mapping[frozenset[int], str] = field(
        default_factory=dict
    )  # blocks that cannot be removed alone: the reason

    def outputs(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """The main outputs of each example in one row, (batch, units)."""
        with torch.random.fork_rng():
            torch.manual_seed(0)  # ViLT shuffles the patches of an image, also in evaluation mode
            output = model(**inputs)
        found = [getattr(output, name) for name in self.main] or [output]
        return torch.cat([tensor.flatten(1) for tensor in found], dim=1)

    def batch(self) -> Batch:
        return Batch(self.inputs(), torch.zeros(ROWS), torch.arange(ROWS))


@dataclass(frozen=True)
class Projection:
    """A task for any model: the loss of an example is a fixed random projection of its main outputs."""

    architecture: Architecture
    name: str = "classification"
    metric: str = "loss"
    higher_is_better: bool = False
    labelled: bool = False

    def batches(self, *_: Any) -> list[Batch]:
        return [self.architecture.batch()]

    def run(self, model: nn.Module, batch: Batch) -> None:
        self.losses(model, batch)

    def losses(self, model: nn.Module, batch: Batch) -> Tensor:
        units = self.architecture.outputs(model, batch.inputs)
        return units @ torch.randn(units.shape[1], generator=torch.Generator().manual_seed(7)) / units.shape[1] ** 0.5

    def scores(self, model: nn.Module, batch: Batch) -> Scores:
        loss = self.losses(model, batch)
        return Scores(loss, torch.ones_like(loss), torch.zeros_like(loss))

    def metric_of(self, loss: np.ndarray, weight: np.ndarray, hit: np.ndarray) -> float:
        return float(loss.mean())


def built(kind: str, **options: Any) -> Callable[[], nn.Module]:
    """A seeded model of transformers. `kind` is the class; the configuration's class is the model's own."""

    def build() -> nn.Module:
        torch.manual_seed(0)
        cls = getattr(transformers, kind)
        model = cls(cls.config_class(**options)).eval()
        spread(model)
        return model

    return build


@torch.no_grad()
def spread(model: nn.Module) -> None:
    """Weights large enough for every block to matter, and norms that are not the identity."""
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.add_(torch.empty_like(parameter).normal_(0, 0.2, generator=generator))


def tokens(seed: int = 0, length: int = TOKENS) -> Tensor:
    return torch.randint(3, VOCABULARY, (ROWS, length), generator=torch.Generator().manual_seed(seed))


def text() -> Inputs:
    """Token ids with padding at the end of one row."""
    ids, mask = tokens(), torch.ones(ROWS, TOKENS, dtype=torch.long)
    ids[1, -2:] = 0
    mask[1, -2:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def unpadded() -> Inputs:
    return {"input_ids": tokens()}


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(ROWS, *shape, generator=torch.Generator().manual_seed(seed))


def pair() -> Inputs:
    return {**text(), "decoder_input_ids": tokens(1, 4)}


def image() -> Inputs:
    return {"pixel_values": noise(3, IMAGE, IMAGE)}
