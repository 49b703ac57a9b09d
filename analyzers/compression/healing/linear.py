"""The last projection before each cut, fitted anew to give what the dense model has behind the cut."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from analyzers.compression.healing import Case, Course

if TYPE_CHECKING:
    from analyzers.records import TrainEpoch

SOURCE = "https://arxiv.org/abs/2505.02819"
LEARNING_RATE = None


def heal(case: Case) -> Course:
    from analyzers.compression.folding import fold_cuts
    from analyzers.evaluation import losses_of, outcome
    from analyzers.layers import LayeredModel
    from analyzers.records import TrainEpoch

    begin = time.monotonic()
    error = fold_cuts(case)
    settings = case.settings
    batches = case.task.batches(case.splits.select, case.tokenizer, settings.batch_size, settings.max_tokens)
    found = outcome(case.task, losses_of(LayeredModel(case.pruned, least=1), case.task, batches), settings.seed)
    seconds = time.monotonic() - begin
    epochs: list[TrainEpoch] = [TrainEpoch(epoch=1, train_loss=error, select=found, seconds=seconds)]
    return Course(epochs, 1, seconds)
