"""In which order training sees examples, and at which learning rate."""

import math
import random
from collections.abc import Sequence
from typing import Any

import torch

from analyzers.records import TrainRequest
from analyzers.tasks import Batch

_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_POOL = 50  # batches whose examples are sorted by length together


def batch_order(lengths: Sequence[int], settings: TrainRequest, epoch: int) -> list[list[int]]:
    """Batches of row numbers: shuffled, sorted by length within pools to save padding, and shuffled as batches."""
    shuffler = random.Random(f"{settings.seed} {epoch}")
    rows = list(range(len(lengths)))
    shuffler.shuffle(rows)
    size = settings.batch_size
    batches = []
    for start in range(0, len(rows), size * _POOL):
        pool = sorted(rows[start : start + size * _POOL], key=lambda row: lengths[row])
        batches += [pool[first : first + size] for first in range(0, len(pool), size)]
    shuffler.shuffle(batches)
    return batches


def joined(rows: Sequence[Batch], tokenizer: Any) -> Batch:
    """Single rows as one batch, padded to the longest."""
    columns = {name: [row.inputs[name][0].tolist() for row in rows] for name in rows[0].inputs}
    inputs = tokenizer.pad(columns, return_tensors="pt")
    return Batch(dict(inputs), torch.cat([row.labels for row in rows]), torch.cat([row.indices for row in rows]))


def one_cycle(share: float, steps: int) -> float:
    """Learning rate as a part of the highest, after that share of the work: the cosine form of OneCycleLR.

    It rises from 1/25 and falls to a ten-thousandth of that.

    Args:
        share: of the whole, 0 to 1.
        steps: of the whole; no fewer than four.
    """
    risen = max(_WARM_UP, 1.5 / steps)  # below 1 / steps the rise would end before it began
    top = (risen * steps - 1) / (steps - 1)
    start, end, part = (1 / 25, 1.0, share / top) if share <= top else (1.0, 4e-6, (share - top) / (1 - top))
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))
