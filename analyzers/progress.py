"""How a long step says how far it is, and how it is stopped.

Analyzers only know `Progress`; what a tick looks like (a bar, a line, a chat step) is the business of who started them.
"""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from analyzers.errors import Cancelled

Item = TypeVar("Item")


class Progress:
    """Silent progress. Subclasses override `started`, `advanced`, `finished` and `say`."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def cancel(self) -> None:
        """Ask the step to stop at its next tick. May be called from another thread."""
        self._stop.set()

    def check(self) -> None:
        """Raise if the step was asked to stop.

        Raises:
            Cancelled: `cancel` was called.
        """
        if self._stop.is_set():
            raise Cancelled("stopped; what was finished is kept: list it with: layerwise runs list")

    def track(self, items: Iterable[Item], total: int, step: str) -> Iterator[Item]:
        """Yield the items, ticking once after each.

        Args:
            items: what to go through.
            total: how many there are.
            step: what is being done, as shown to the user.

        Raises:
            Cancelled: between two items, when `cancel` was called.
        """
        self.started(step, total)
        try:
            for done, item in enumerate(items, start=1):
                self.check()
                yield item
                self.advanced(step, done, total)
        finally:
            self.finished(step)
        self.check()

    def started(self, step: str, total: int) -> None: ...

    def advanced(self, step: str, done: int, total: int) -> None: ...

    def finished(self, step: str) -> None: ...

    def say(self, text: str) -> None:
        """One line of information for the user."""
