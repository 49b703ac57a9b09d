"""How many rows each step reads where nobody says otherwise.

A text is a few dozen tokens and a window of a language model 128; the numbers are what two cores do in minutes, and what
was read is recorded. Rows of one step are spread over those of the calibration sample, from the shortest to the longest.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from analyzers.tasks import Batch


class Rows(NamedTuple):
    calibration: int  # of train: scores
    path: int  # of these: conductance, which passes each 50 times forwards and backwards
    game: int  # of these: SHAP, which measures hundreds of sets of layers
    curves: int  # of select: deletion curves and the greedy oracle
    search: int  # of select: the sets that a plan compares
    least: int  # of the calibration, where reading ends when the order of the layers stays
    most: int


ROWS = {
    "classification": Rows(calibration=256, path=32, game=256, curves=256, search=1024, least=32, most=1024),
    "language_modeling": Rows(calibration=16, path=4, game=4, curves=4, search=32, least=4, most=64),
}


def growing(rows: Rows, sample: Callable[[int], Sequence[Batch]]) -> Iterator[Sequence[Batch]]:
    """Samples to read in turn where reading ends when the order stays: each twice as large as the one before.

    Args:
        rows: say how large the first and the last are.
        sample: batches with so many rows, or with all that there are.
    """
    size, before = rows.least, 0
    while size <= rows.most:
        batches = sample(size)
        count = sum(len(batch) for batch in batches)
        if count > before:
            yield batches
        if count < size:
            return
        size, before = 2 * size, count


def spread(batches: Sequence[Batch], rows: int) -> list[Batch]:
    """At most so many rows, evenly from all batches and numbered anew."""
    lengths = [len(batch) for batch in batches]
    chosen = np.unique(np.linspace(0, sum(lengths) - 1, min(rows, sum(lengths))).round().astype(int))
    found: list[Batch] = []
    begin = count = 0
    for batch, length in zip(batches, lengths, strict=True):
        own = chosen[(chosen >= begin) & (chosen < begin + length)] - begin
        if len(own):
            part = batch.pick(own.tolist())
            found.append(Batch(part.inputs, part.labels, torch.arange(count, count + len(own))))
            count += len(own)
        begin += length
    return found


def in_eighths(batches: Sequence[Batch], seed: int) -> list[Batch]:
    """The same rows in batches of at most an eighth of them, in a random order: the first few stand for all."""
    most = max(1, sum(len(batch) for batch in batches) // 8)
    parts = [
        batch.rows(start, min(start + most, len(batch))) for batch in batches for start in range(0, len(batch), most)
    ]
    return [parts[place] for place in np.random.default_rng(seed).permutation(len(parts))]
