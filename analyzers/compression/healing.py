"""Healing: the smaller model learns from the dense one what it lost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analyzers.datasets.splits import Splits
from analyzers.evaluation import losses_of, outcome
from analyzers.layers import LayeredModel, frozen
from analyzers.progress import Progress
from analyzers.records import Healing, HealingEpoch, TrainRequest
from analyzers.tasks import Batch, Scores, Task
from analyzers.tasks.wrapped import Wrapped
from analyzers.training import discard_state, train

TEMPERATURE = 2.0
HIDDEN_WEIGHT = 1.0  # of the distance of hidden states, beside the divergence of the answers


class Distillation(Wrapped):
    """A task whose loss is the distance from a teacher; its scores and metric are those of the task itself.

    Per example: T² · KL(teacher ‖ student) of the answers at temperature T (Hinton et al. 2015,
    https://arxiv.org/abs/1503.02531), and the mean over kept blocks of 1 − cos between the outputs of the student's
    block and of the same block in the teacher (Sanh et al. 2019, https://arxiv.org/abs/1910.01108).
    """

    labelled: ClassVar[bool] = False

    def __init__(self, task: Task, teacher: LayeredModel, student: LayeredModel, kept: Sequence[int]) -> None:
        """
        Args:
            task: what both models do.
            teacher: the dense model.
            student: the smaller model, which will be trained.
            kept: indices in the teacher of the student's blocks.
        """
        super().__init__(task)
        self.teacher, self.student, self.kept = teacher, student, list(kept)
        self.name, self.metric, self.higher_is_better = task.name, task.metric, task.higher_is_better

    def scores(self, model: torch.nn.Module, batch: Batch) -> Scores:
        return self.task.scores(model, batch)

    def metric_of(self, loss: np.ndarray, weight: np.ndarray, hit: np.ndarray) -> float:
        return self.task.metric_of(loss, weight, hit)

    def losses(self, model: torch.nn.Module, batch: Batch) -> Tensor:  # noqa: ARG002 - the student knows it
        """Distance of each example from the teacher, (batch,). `model` is the student's model."""
        with torch.no_grad(), frozen(self.teacher.model):
            right, hidden_right = _answers(self.teacher, batch)
        given, hidden_given = _answers(self.student, batch)
        mask = batch.inputs["attention_mask"].float()  # (batch, tokens)
        distance = torch.stack(
            [
                _mean(1 - F.cosine_similarity(hidden_given[own].float(), hidden_right[layer].float(), dim=-1), mask)
                for own, layer in enumerate(self.kept)
            ]
        ).mean(0)
        divergence = F.kl_div(
            (given / TEMPERATURE).log_softmax(-1),
            (right / TEMPERATURE).log_softmax(-1),
            reduction="none",
            log_target=True,
        ).sum(-1)
        divergence = divergence if divergence.ndim == 1 else _mean(divergence, mask)
        return TEMPERATURE**2 * divergence + HIDDEN_WEIGHT * distance


def distill(
    dense: LayeredModel,
    pruned: Any,
    kept: Sequence[int],
    task: Task,
    tokenizer: Any,
    splits: Splits,
    settings: TrainRequest,
    folder: Path,
    progress: Progress,
    *,
    resume: bool = False,
) -> Healing:
    """Train the smaller model to answer as the dense one; it is left with the weights that did best on select.

    Args:
        dense: the teacher; not changed.
        pruned: the student; changed in place.
        kept: indices in the dense model of the student's blocks.
        task: what both models do.
        tokenizer: of both.
        splits: trained on `train`, chosen on `select`.
        settings: epochs, batch size and so on.
        folder: where the state is kept so that a killed healing goes on.
        progress: ticks once a batch.
        resume: go on from that state.

    Raises:
        NotFinite, StorageError, DamagedRecord, Cancelled: as training does.
    """
    student = LayeredModel(pruned, least=1)
    before = {name: value.detach().clone() for name, value in pruned.state_dict().items()}
    batches = task.batches(splits.select, tokenizer, settings.batch_size, settings.max_tokens)
    unhealed = outcome(task, losses_of(student, task, batches), settings.seed)
    lesson = Distillation(task, dense, student, kept)
    result = train(pruned, lesson, tokenizer, splits, settings, folder, progress, resume=resume)
    best = result.epochs[result.best_epoch - 1]
    sign = 1 if task.higher_is_better else -1
    healed = sign * best.select.metric.value > sign * unhealed.metric.value
    if not healed:
        pruned.load_state_dict(before)
    discard_state(folder)
    return Healing(
        strategy="distill",
        epochs=[HealingEpoch(epoch=e.epoch, train_loss=e.train_loss, select=e.select) for e in result.epochs],
        best_epoch=result.best_epoch if healed else 0,
        seconds=sum(epoch.seconds for epoch in result.epochs),
    )


def _answers(layered: LayeredModel, batch: Batch) -> tuple[Tensor, Mapping[int, Tensor]]:
    """Logits and the output of every block."""
    hidden: dict[int, Tensor] = {}

    def keep(layer: int, given: Tensor, output: Tensor) -> None:  # noqa: ARG001
        hidden[layer] = output

    with layered.capturing(keep):
        logits = layered.model(**batch.inputs).logits.float()
    return logits, hidden


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens that are there, (batch,)."""
    return (values * mask).sum(1) / mask.sum(1)
