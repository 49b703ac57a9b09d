"""Strategies that heal a smaller model. A new one is one new file in this folder: a module with the names of `Strategy`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from analyzers.errors import UnknownMethod
from analyzers.plugins import find_in, names_in

if TYPE_CHECKING:  # the list of names is read where torch is not loaded
    from pathlib import Path

    from analyzers.datasets import Example
    from analyzers.datasets.splits import Splits
    from analyzers.layers import LayeredModel
    from analyzers.progress import Progress
    from analyzers.records import TrainEpoch, TrainRequest
    from analyzers.tasks import Task

EPOCHS = 3  # where neither epochs nor minutes are given


@dataclass(frozen=True)
class Case:
    """A smaller model, what it was made from, and what may be spent on it."""

    dense: LayeredModel  # the teacher; never changed
    pruned: Any  # changed in place
    kept: Sequence[int]  # indices in the dense model of its blocks
    task: Task  # what both do
    tokenizer: Any
    splits: Splits  # fitted on `train`, chosen on `select`
    settings: TrainRequest  # epochs, batch size, learning rate and so on
    folder: Path  # where the state is, so that a killed healing goes on
    progress: Progress
    minutes: float | None = None
    transfer: tuple[Example, ...] = ()  # unlabelled texts to learn from beside those of `train`
    weights: tuple[float, ...] = ()  # of the kept blocks in the distance of hidden states, sum 1; () for all the same
    resume: bool = False


@dataclass(frozen=True)
class Course:
    """What was tried; the smaller model has the weights of the best."""

    epochs: Sequence[TrainEpoch]
    best_epoch: int  # counted from 1
    seconds: float


class Strategy(Protocol):
    """The names that the module of a strategy has."""

    SOURCE: str
    LEARNING_RATE: float | None  # None: it does not train, and has no use for minutes or other texts

    def heal(self, case: Case) -> Course:
        """Change `case.pruned`; it stays a plain model of transformers, whatever happens.

        Raises:
            ModelError: the strategy does not fit the model or the machine; the message says which does.
            NotFinite, StorageError, DamagedRecord, Cancelled: as training does.
        """
        ...


def names() -> tuple[str, ...]:
    """All strategies, without loading what they need."""
    return tuple(names_in(sys.modules[__name__]))


def find(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
        UnknownMethod: there is none.
    """
    found = find_in(
        sys.modules[__name__],
        name,
        lambda known: UnknownMethod(f"no strategy of healing {name!r}; there are: {', '.join(known)}, or none"),
    )
    return cast(Strategy, found)
