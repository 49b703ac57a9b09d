"""Published ways to choose layers, as orders of removal: what a plan has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analyzers.layers import LayeredModel, frozen
from analyzers.progress import Progress
from analyzers.sweep import sweep
from analyzers.tasks import Batch, Task


@dataclass(frozen=True)
class Similarity:
    """How alike hidden states at different depths are, over the calibration examples.

    `cosine[l]` is the mean over tokens of the cosine between the input and the output of block l, (layers,).
    `angle[l, m]` is the mean angular distance arccos(cos)/π between the hidden states at depths l and m,
    (layers + 1, layers + 1); at the last token for language models, over all tokens for encoders.
    `window[l, m]` is the mean over tokens of the cosine between the hidden states at depths l and m, of the same shape.
    """

    cosine: np.ndarray
    angle: np.ndarray
    window: np.ndarray


class SimilarityReducer:
    """Cosines and angles of each example, means over its tokens, and how many of these there are.

    (examples, layers), twice (examples, layers + 1, layers + 1), and (examples,).
    """

    name: ClassVar[str] = "similarity"

    def __init__(self, layered: LayeredModel, task: Task, seed: int) -> None:  # noqa: ARG002 - as the contract has it
        self._last_token = not task.labelled
        self._cosines: list[Tensor] = []
        self._angles: list[Tensor] = []
        self._windows: list[Tensor] = []
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
        self._windows.append(self._all_pairs(unit).cpu())
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
        found = {"cosine": self._cosines, "angle": self._angles, "window": self._windows, "tokens": self._tokens}
        return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}

    def _all_pairs(self, unit: list[Tensor]) -> Tensor:
        """Mean cosine over the tokens between any two depths, (batch, layers + 1, layers + 1)."""
        found = []
        for row, mask in enumerate(self._mask):
            flat = torch.stack([hidden[row][mask.bool()].flatten() for hidden in unit])  # (layers + 1, tokens · width)
            found.append(flat @ flat.T / mask.sum())
        return torch.stack(found)

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
        np.average(found["window"], axis=0, weights=tokens),
    )


def weight_times_gradient(
    layered: LayeredModel, task: Task, batches: Sequence[Batch], progress: Progress
) -> np.ndarray:
    """Σ |θ · ∂loss/∂θ| over the parameters of each block, (layers,): one gradient of the mean loss, in nats.

    The Taylor criterion of Shortened LLaMA (arXiv 2402.02834), which takes the absolute value of each parameter; the
    importance method `taylor` takes that of the whole block.

    Raises:
        ModelError: a single example does not fit into memory.
    """
    blocks = [[p for p in block.module.parameters() if p.is_floating_point()] for block in layered.blocks]
    every = [parameter for block in blocks for parameter in block]
    sums = [torch.zeros_like(parameter, dtype=torch.float32) for parameter in every]
    with frozen(layered.model), torch.enable_grad():
        for parameter in every:
            parameter.requires_grad_()
        for batch in progress.track(batches, len(batches), "gradients of the weights"):

            def part(rows: slice, batch: Batch = batch) -> tuple[Tensor, ...]:
                given = batch.rows(rows.start, rows.stop).to(layered.device)
                loss = task.losses(layered.model, given).sum()
                return torch.autograd.grad(loss, every, allow_unused=True)

            for gradients in layered.room.passed(len(batch), batch.tokens, part, progress, "gradient"):
                for total, gradient in zip(sums, gradients, strict=True):
                    if gradient is not None:
                        total += gradient
    count = sum(len(batch) for batch in batches)
    with torch.no_grad():
        each = iter([float((p.float() * total).abs().sum()) / count for p, total in zip(every, sums, strict=True)])
    return np.array([sum(next(each) for _ in block) for block in blocks])


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


def cosine_window(found: Similarity, remove: int) -> list[int]:
    """The run of consecutive layers whose input and output are most alike over all tokens.

    The angular block of arXiv 2403.17887 with the cosine in place of the angle and all tokens in place of the last one, as
    EvoPress (arXiv 2410.14649) compares with it.
    """
    if not remove:
        return []
    starts = range(len(found.cosine) - remove + 1)
    first = max(starts, key=lambda start: found.window[start, start + remove])
    return list(range(first, first + remove))


def reverse_order(layers: int, remove: int) -> list[int]:
    """The last layers. Where a quarter goes, this is the last-quarter recipe of arXiv 2411.15558."""
    return list(range(layers - remove, layers))


def deepest_but_last(layers: int, remove: int) -> list[int]:
    """The last layers but the very last one, the simple rule of arXiv 2403.17887."""
    return list(range(layers - 1 - remove, layers - 1))


def protected(scores: Sequence[float], remove: int, first: int = 4, last: int = 2) -> list[int]:
    """The lowest scores, never among the first and last layers while others are left (Shortened LLaMA, arXiv 2402.02834)."""
    layers = len(scores)
    order = sorted(range(layers), key=lambda layer: (not first <= layer < layers - last, scores[layer]))
    return sorted(order[:remove])


def random_draws(layers: int, remove: int, draws: int, seed: int) -> list[list[int]]:
    """Sets of layers by chance."""
    generator = np.random.default_rng(seed)
    return [sorted(generator.permutation(layers)[:remove].tolist()) for _ in range(draws)]
