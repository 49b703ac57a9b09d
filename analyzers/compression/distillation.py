"""The smaller model learns from the dense one what it lost: the loss, and the training that strategies share."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analyzers.compression.folding import fold_cuts
from analyzers.compression.healing import Case, Course
from analyzers.datasets import Example
from analyzers.errors import ModelError
from analyzers.layers import LayeredModel, frozen
from analyzers.tasks import Batch, Scores, Task
from analyzers.tasks.wrapped import Wrapped
from analyzers.training import STATE, train

TEMPERATURE = 2.0
HIDDEN_WEIGHT = 1.0  # of the distance of hidden states, beside the divergence of the answers


class Distillation(Wrapped):
    """A task whose loss is the distance from a teacher; its scores and metric are those of the task itself.

    Per example: T² · KL(teacher ‖ student) of the answers at temperature T (Hinton et al. 2015,
    https://arxiv.org/abs/1503.02531; T is 1 for a language model), and the weighted mean over kept blocks of 1 − cos between the outputs of the student's
    block and of the same block in the teacher (Sanh et al. 2019, https://arxiv.org/abs/1910.01108).
    """

    labelled: ClassVar[bool] = False

    def __init__(
        self,
        task: Task,
        teacher: LayeredModel,
        student: LayeredModel,
        kept: Sequence[int],
        weights: Sequence[float] = (),
    ) -> None:
        """
        Args:
            task: what both models do.
            teacher: the dense model.
            student: the smaller model, which will be trained.
            kept: indices in the teacher of the student's blocks.
            weights: of these blocks in the distance of hidden states; sum 1. () for all the same.
        """
        super().__init__(task)
        self.teacher, self.student, self.kept = teacher, student, list(kept)
        self.weights = torch.tensor(weights or uniform([0.0] * len(self.kept)))
        self.temperature = TEMPERATURE if task.labelled else 1.0
        self.name, self.metric, self.higher_is_better = task.name, task.metric, task.higher_is_better

    def scores(self, model: torch.nn.Module, batch: Batch) -> Scores:
        return self.task.scores(model, batch)

    def batches(self, examples: Sequence[Example], *how: Any, **named: Any) -> list[Batch]:
        """As the task makes them; labels are not read, so texts without one get the first."""
        if self.task.labelled:
            examples = [replace(each, label=0) if each.label is None else each for each in examples]
        return super().batches(examples, *how, **named)

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
        )  # (blocks, batch)
        distance = (self.weights.to(distance).unsqueeze(1) * distance).sum(0)
        divergence = F.kl_div(
            (given / self.temperature).log_softmax(-1),
            (right / self.temperature).log_softmax(-1),
            reduction="none",
            log_target=True,
        ).sum(-1)
        divergence = divergence if divergence.ndim == 1 else _mean(divergence, mask)
        return self.temperature**2 * divergence + HIDDEN_WEIGHT * distance


Weighting = Callable[[Sequence[float]], list[float]]


def uniform(importance: Sequence[float]) -> list[float]:
    """All kept blocks count the same."""
    return [1 / len(importance)] * len(importance)


def by_importance(importance: Sequence[float]) -> list[float]:
    """By rank: the most important block counts three times as much as the least, and those between in equal steps.

    Scores of different methods have different units and tails of their own; their order has neither.
    """
    count = len(importance)
    order = sorted(range(count), key=lambda block: importance[block])
    weights = [0.0] * count
    for rank, block in enumerate(order):
        weights[block] = (1 + 2 * rank / max(1, count - 1)) / (2 * count)
    return [weight / sum(weights) for weight in weights]


# How much each kept block counts in the distance of hidden states, from its importance; the sum is 1.
WEIGHTINGS: dict[str, Weighting] = {"importance": by_importance, "uniform": uniform}


def begun(case: Case) -> float:
    """Repair the cuts of a language model by least squares before training; the seconds that it took.

    A model that is taken up again has that in its state already. Classifiers of a few layers gain nothing by it.
    """
    begin = time.monotonic()
    taken_up = case.resume and (case.folder / STATE).is_file()
    if not case.task.labelled and not taken_up:
        try:
            fold_cuts(case)
        except ModelError as error:  # no map can be folded: training has to do it alone
            case.progress.say(str(error).partition(";")[0])
    return time.monotonic() - begin


def learn(case: Case, spent: float = 0.0) -> Course:
    """Train what requires a gradient to answer as the dense model; embeddings of a language model stay as they are.

    Args:
        case: what is healed.
        spent: seconds of its minutes that are gone.

    Raises:
        NotFinite, StorageError, DamagedRecord, Cancelled: as training does.
    """
    student = LayeredModel(case.pruned, least=1)
    lesson = Distillation(case.task, case.dense, student, case.kept, case.weights)
    splits = replace(case.splits, train=(*case.splits.train, *case.transfer))
    wanted = {name: parameter.requires_grad for name, parameter in case.pruned.named_parameters()}
    if not case.task.labelled:  # half of the parameters of a small one, and so few texts say nothing of most words
        case.pruned.get_input_embeddings().requires_grad_(False)
    try:
        result = train(
            case.pruned,
            lesson,
            case.tokenizer,
            splits,
            case.settings,
            case.folder,
            case.progress,
            resume=case.resume,
            minutes=case.minutes,
            spent=spent,
        )
    finally:
        for name, parameter in case.pruned.named_parameters():
            parameter.requires_grad_(wanted[name])
    return Course(result.epochs, result.best_epoch, sum(epoch.seconds for epoch in result.epochs))


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
