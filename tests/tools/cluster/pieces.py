"""Pieces of work for the tests: a worker imports them by name."""

import os
import time
from typing import Any

from analyzers.errors import NotFinite
from analyzers.progress import Progress


def twice(shared: int, item: int, progress: Progress) -> int:
    return shared + 2 * item


def slow_first(shared: int, item: int, progress: Progress) -> int:
    time.sleep(0.4 if item == 0 else 0.0)
    return item


def identity(shared: Any, item: Any, progress: Progress) -> tuple[int, int]:
    """Which object this process holds, and which process it is."""
    return os.getpid(), id(shared)


def telling(shared: Any, item: int, progress: Progress) -> int:
    progress.say(f"piece {item} says")
    for _ in progress.track(range(4), 4, f"step of {item}"):
        time.sleep(0.25)
    return item


def failing(shared: Any, item: int, progress: Progress) -> int:
    raise NotFinite(f"piece {item} is not finite")


class Odd(Exception):
    """Cannot be made from one message."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def failing_oddly(shared: Any, item: int, progress: Progress) -> int:
    raise Odd(item, 2)


def sleeping(shared: Any, item: float, progress: Progress) -> None:
    time.sleep(item)


def dying(shared: Any, item: int, progress: Progress) -> None:
    os._exit(1)
