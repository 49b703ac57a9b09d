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
from analyzers.progress import Progress
from analyzers.tasks import Batch, Scores, Task
from analyzers.tasks.wrapped import Wrapped
from analyzers.training import STATE, token_limit, train

TEMPERATURE = 2.0
REMEMBERED = 2**29  # bytes that the teacher's answers may take, where they are computed once and not in every epoch
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
        self._known: dict[int, tuple[Tensor, Tensor]] = {}  # row -> logits, and hidden states (tokens, blocks, width)

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
        right, hidden_right = self._remembered(batch) if self._known else self._asked(batch)
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

    def remember(self, batches: Sequence[Batch], progress: Progress) -> None:
        """Keep what the teacher answers, which is the same in every epoch, if that takes no more than `REMEMBERED` bytes.

        Args:
            batches: of all rows that will be learned from.
            progress: ticks once a batch.
        """
        tokens = sum(int(batch.inputs["attention_mask"].sum()) for batch in batches)
        for batch in progress.track(batches, len(batches), "answers of the dense model"):
            logits, hidden = self._asked(batch.to(self.teacher.device))
            states = torch.stack(
                [hidden[layer].float() for layer in self.kept], dim=2
            )  # (batch, tokens, blocks, width)
            if states[0, 0].numel() * states.element_size() * tokens > REMEMBERED:
                return
            for row, mask, answer, each in zip(
                batch.indices.tolist(), batch.inputs["attention_mask"].bool(), logits, states, strict=True
            ):
                self._known[row] = answer.cpu(), each[mask.to(each.device)].cpu()

    def _remembered(self, batch: Batch) -> tuple[Tensor, Mapping[int, Tensor]]:
        known = [self._known[row] for row in batch.indices.tolist()]
        mask = batch.inputs["attention_mask"].bool()
        states = torch.zeros(*mask.shape, *known[0][1].shape[1:], device=mask.device)
        states[mask] = torch.cat([each for _, each in known]).to(mask.device)
        logits = torch.stack([answer for answer, _ in known]).to(mask.device)
        return logits, {layer: states[:, :, own] for own, layer in enumerate(self.kept)}

    def _asked(self, batch: Batch) -> tuple[Tensor, Mapping[int, Tensor]]:
        with torch.no_grad(), frozen(self.teacher.model):
            return _answers(self.teacher, batch)


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
    begin = time.monotonic()
    # Padding on the left moves the positions of a text, and the answers with them.
    right = getattr(case.tokenizer, "padding_side", "right") == "right"
    if case.task.labelled and right and case.minutes is None and case.settings.epochs > 1:
        limit = token_limit(case.pruned, case.tokenizer, case.settings.max_tokens)
        lesson.remember(lesson.batches(splits.train, case.tokenizer, case.settings.batch_size, limit), case.progress)
    taught = time.monotonic() - begin
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
    return Course(result.epochs, result.best_epoch, taught + sum(epoch.seconds for epoch in result.epochs))


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
