"""Published ways to choose layers, as orders of removal: what a plan has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analyzers.layers import LayeredModel, frozen
from analyzers.progress import Progress
from analyzers.tasks import Batch


@dataclass(frozen=True)
class Similarity:
    """How alike hidden states at different depths are, over the calibration examples.

    `cosine[l]` is the mean over tokens of the cosine between the input and the output of block l, (layers,).
    `angle[l, m]` is the mean angular distance arccos(cos)/π between the hidden states at depths l and m,
    (layers + 1, layers + 1); at the last token for language models, over all tokens for encoders.
    """

    cosine: np.ndarray
    angle: np.ndarray


@torch.no_grad()
def similarity(layered: LayeredModel, batches: Sequence[Batch], last_token: bool, progress: Progress) -> Similarity:
    """One forward sweep; hidden states are reduced batch by batch."""
    layers = len(layered)
    cosine, angle = np.zeros(layers), np.zeros((layers + 1, layers + 1))
    tokens = rows = 0
    for batch in progress.track(batches, len(batches), "similarity of hidden states"):
        on_device = batch.to(layered.device)
        present = on_device.inputs["attention_mask"].bool()  # (batch, tokens)
        depths: list[Tensor] = []

        def keep(
            layer: int, given: Tensor, output: Tensor, present: Tensor = present, depths: list[Tensor] = depths
        ) -> None:
            if layer == 0:
                depths.append(given[present].float())
            depths.append(output[present].float())  # (tokens, width)

        with frozen(layered.model), layered.capturing(keep):
            layered.model(**on_device.inputs)
        cosine += [float(F.cosine_similarity(a, b, dim=-1).sum()) for a, b in pairwise(depths)]
        tokens += int(present.sum())
        chosen = present.sum(1).cumsum(0) - 1 if last_token else torch.arange(int(present.sum()), device=layered.device)
        rows += len(chosen)
        unit = [F.normalize(hidden[chosen], dim=-1) for hidden in depths]
        for a in range(layers + 1):
            for b in range(a + 1, layers + 1):
                angle[a, b] += float(((unit[a] * unit[b]).sum(-1).clamp(-1, 1).arccos() / torch.pi).sum())
    return Similarity(cosine / tokens, angle / rows)


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
