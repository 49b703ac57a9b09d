"""One training in several processes: each has the whole model and computes its rows of every batch.

Gradients are added up, not averaged over processes, since a batch may not divide evenly; after that all processes take the
same step. torch's DistributedDataParallel wraps the model's own forward and would not see tasks that call its parts.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from analyzers.draws import WholeDraws
from analyzers.executor import Executor
from analyzers.progress import Progress

Result = TypeVar("Result")


class Replicas:
    """This process alone."""

    leads = True  # it writes the files

    @property
    def executor(self) -> Executor:
        """For what is measured between two epochs."""
        return Executor()

    def rows(self, batch: int) -> tuple[slice, float]:
        """The rows of a batch that are computed here, and what share of the batch they are."""
        return slice(0, batch), 1.0

    def drawing(self, rows: slice, batch: int) -> AbstractContextManager[Any]:  # noqa: ARG002
        """Around a forward pass of these rows: random numbers are those of the whole batch."""
        return nullcontext()

    def gathered(self, losses: Tensor, rows: slice, batch: int) -> Tensor:  # noqa: ARG002
        """The losses of all rows of the batch, (batch,), from those that were computed here."""
        return losses

    def add_up(self, parameters: Iterable[Tensor]) -> None:
        """Let the gradients be the sum over all processes."""


class Distributed(Replicas):
    """One of the processes of torch's default group, which has to be there."""

    def __init__(self) -> None:
        self._rank, self._count = distributed.get_rank(), distributed.get_world_size()
        self.leads = self._rank == 0

    @property
    def executor(self) -> Executor:
        return _InTurn(self._rank, self._count)

    def rows(self, batch: int) -> tuple[slice, float]:
        start, stop = (batch * rank // self._count for rank in (self._rank, self._rank + 1))
        if start == stop:  # it has to make the same passes as the others: one row, which does not count
            return slice(0, 1), 0.0
        return slice(start, stop), (stop - start) / batch

    def drawing(self, rows: slice, batch: int) -> AbstractContextManager[Any]:
        return nullcontext() if rows == slice(0, batch) else WholeDraws(rows, batch)

    def gathered(self, losses: Tensor, rows: slice, batch: int) -> Tensor:
        every = losses.new_zeros(batch)
        if self.rows(batch)[1]:
            every[rows] = losses
        distributed.all_reduce(every)
        return every

    def add_up(self, parameters: Iterable[Tensor]) -> None:
        gradients = [each.grad for each in parameters if each.grad is not None]
        flat = torch.cat([each.flatten() for each in gradients])
        distributed.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(total.view_as(gradient))


class _InTurn(Executor):
    """Every process computes some of the pieces, and all get what all computed. All have to ask for the same."""

    def __init__(self, rank: int, count: int) -> None:
        self._rank, self._count = rank, count

    def map(
        self, function: Callable[..., Result], shared: Sequence[Any], items: Iterable[Any], progress: Progress
    ) -> Iterator[Result]:
        pieces = list(items)
        mine = [function(*shared, item, progress) for item in pieces[self._rank :: self._count]]
        found: list[Any] = [None] * self._count
        distributed.all_gather_object(found, mine)
        return iter([found[number % self._count][number // self._count] for number in range(len(pieces))])
