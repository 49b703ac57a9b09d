"""Where independent pieces of work are computed: in this process, unless who starts a workflow hands down something wider.

A piece is a function at the top of a module, called with what all pieces share (the model, the task), with what it alone is
about (a batch, some sets of layers), and with a progress. That is all that another process needs to compute the same numbers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from analyzers.progress import Progress

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class Pending(Protocol[Result_co]):
    """A piece that is being computed elsewhere."""

    def result(self, progress: Progress) -> Result_co:
        """Wait for it, and show how far it is.

        Raises:
            Cancelled: the user stopped it.
            EngineFailed: its worker died.
        """
        ...


class Executor:
    """In this process, one piece after the other, each when its result is asked for."""

    workers = 1  # pieces that are computed at once
    elsewhere = False  # whether pieces are computed in other processes; only then is there `submit`

    def map(
        self,
        function: Callable[..., Result],
        shared: Sequence[Any],
        items: Iterable[Any],
        progress: Progress,
    ) -> Iterator[Result]:
        """What `function(*shared, item, progress)` gives for each item, in their order.

        Args:
            function: at the top of a module.
            shared: what all pieces are given; it does not change while there is work.
            items: what each is about.
            progress: told what the pieces say.

        Raises:
            Cancelled: the user stopped it.
            EngineFailed: a worker died.
        """
        for item in items:
            yield function(*shared, item, progress)

    def submit(
        self,
        function: Callable[..., Result],
        shared: Sequence[Any],
        item: Any,
        arrived: Callable[[Result], None],
    ) -> Pending[Result]:
        """Begin one piece and go on; `arrived` is given its result while others are waited for."""
        raise NotImplementedError
