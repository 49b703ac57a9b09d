"""Published ways to choose layers, as orders of removal: what a plan has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.sweep import sweep
from analyzers.tasks import Batch, Task


@dataclass(frozen=True)
class Similarity:
    """How alike hidden states at different depths are, over the calibration examples.

    `cosine[l]` is the mean over tokens of the cosine between the input and the output of block l, (layers,).
    `angle[l, m]` is the mean angular distance arccos(cos)/π between the hidden states at depths l and m,
    (layers + 1, layers + 1); at the last token for language models, over all tokens for encoders.
    """

    cosine: np.ndarray
    angle: np.ndarray


class SimilarityReducer:
    """Cosines and angles of each example, means over its tokens, and how many of these there are.

    (examples, layers), (examples, layers + 1, layers + 1) and (examples,).
    """

    name: ClassVar[str] = "similarity"

    def __init__(self, layered: LayeredModel, task: Task, seed: int) -> None:  # noqa: ARG002 - as the contract has it
        self._last_token = not task.labelled
        self._cosines: list[Tensor] = []
        self._angles: list[Tensor] = []
        self._tokens: list[Tensor] = []

    def begin(self, batch: Batch) -> None:
        self._mask = batch.inputs["attention_mask"].float()  # (batch, tokens)
        self._depths: list[Tensor] = []

    def layer(self, index: int, given: Tensor, output: Tensor) -> None:
        if index == 0:
            self._depths.append(given.float())
        self._depths.append(output.float())

    def end(self) -> None:
        unit = [F.normalize(hidden, dim=-1) for hidden in self._depths]  # (batch, tokens, width)
        cosines = [self._mean((a * b).sum(-1)) for a, b in pairwise(unit)]
        if self._last_token:
            last = self._mask.cumsum(1).argmax(1)
            unit = [hidden[torch.arange(len(last)), last].unsqueeze(1) for hidden in unit]
        angles = torch.zeros(len(self._mask), len(unit), len(unit))
        for a, b in combinations(range(len(unit)), 2):
            angle = (unit[a] * unit[b]).sum(-1).clamp(-1, 1).arccos() / torch.pi  # (batch, tokens)
            angles[:, a, b] = angle[:, 0] if self._last_token else self._mean(angle)
        self._cosines.append(torch.stack(cosines, dim=1).cpu())
        self._angles.append(angles)
        self._tokens.append(self._mask.sum(1).cpu())
        self._depths = []

    def result(self) -> dict[str, np.ndarray]:
        found = {"cosine": self._cosines, "angle": self._angles, "tokens": self._tokens}
        return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}

    def _mean(self, values: Tensor) -> Tensor:
        return (values * self._mask).sum(1) / self._mask.sum(1)


def similarity(layered: LayeredModel, task: Task, batches: Sequence[Batch], progress: Progress) -> Similarity:
    """One forward sweep; means over all tokens, or over the last token of each example."""
    reducer = SimilarityReducer(layered, task, seed=0)
    sweep(layered, task, batches, [reducer], progress)
    found = reducer.result()
    tokens = found["tokens"]
    return Similarity(
        np.average(found["cosine"], axis=0, weights=tokens),
        np.average(found["angle"], axis=0, weights=tokens if task.labelled else None),
    )


def block_influence(found: Similarity, remove: int) -> list[int]:
    """The layers that change their input least: 1 − E cos (ShortGPT, arXiv 2403.03853)."""
    return sorted(np.argsort(1 - found.cosine, kind="stable")[:remove].tolist())


def angular_block(found: Similarity, remove: int) -> list[int]:
    """The run of consecutive layers over which hidden states turn least (Gromov et al., arXiv 2403.17887)."""
    if not remove:
        return []
    starts = range(len(found.cosine) - remove + 1)
    first = min(starts, key=lambda start: found.angle[start, start + remove])
    return list(range(first, first + remove))


def reverse_order(layers: int, remove: int) -> list[int]:
    """The last layers."""
    return list(range(layers - remove, layers))
