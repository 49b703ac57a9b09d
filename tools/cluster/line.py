"""What the processes of a cluster have to say to the one that started the work: progress up, "stop" down."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import ray

from analyzers.progress import Progress

EVERY = 0.2  # seconds between two words of a piece about how far it is


@dataclass
class Heard:
    """Since the last time: what was said by any piece, and how far each is that moved."""

    said: list[str] = field(default_factory=list)
    steps: dict[int, tuple[str, int, int] | None] = field(default_factory=dict)  # piece -> step, done, total


class Answer(NamedTuple):
    """How a piece ended."""

    value: Any = None
    problem: BaseException | None = None  # raised by the piece itself, to be raised again by who waits for it


class Line:
    """An actor that both ends call. It computes nothing and loads little, so it answers at once."""

    def __init__(self) -> None:
        self._heard = Heard()
        self._stop = False
        self._end: Answer | None = None

    def tell(self, piece: int, said: str | None = None, step: tuple[str, int, int] | None = None) -> None:
        if said is not None:
            self._heard.said.append(said)
        else:
            self._heard.steps[piece] = step

    def listen(self) -> Heard:
        heard, self._heard = self._heard, Heard()
        return heard

    def stop(self) -> None:
        self._stop = True

    def stopped(self) -> bool:
        return self._stop

    def end(self, answer: Answer) -> None:
        """How it ended; the first to say it knows it best."""
        self._end = self._end or answer

    def ended(self) -> Answer | None:
        return self._end


class Telling(Progress):
    """Progress of a piece, told over the line.

    Args:
        line: the actor.
        piece: the number by which who listens knows it.
        asks: look from time to time whether to stop. Pieces that leave nothing behind are simply ended.
    """

    def __init__(self, line: Any, piece: int, asks: bool = False) -> None:
        super().__init__()
        self._line, self._piece, self._asks = line, piece, asks
        self._told = self._asked = 0.0

    def check(self) -> None:
        now = time.monotonic()
        if self._asks and now - self._asked >= EVERY:
            self._asked = now
            if ray.get(self._line.stopped.remote()):
                self.cancel()
        super().check()

    def started(self, step: str, total: int) -> None:
        self._tell(step, 0, total)

    def advanced(self, step: str, done: int, total: int) -> None:
        if time.monotonic() - self._told >= EVERY:
            self._tell(step, done, total)

    def finished(self, step: str) -> None:  # noqa: ARG002
        self._line.tell.remote(self._piece)

    def say(self, text: str) -> None:
        self._line.tell.remote(self._piece, text)

    def _tell(self, step: str, done: int, total: int) -> None:
        self._told = time.monotonic()
        self._line.tell.remote(self._piece, None, (step, done, total))


class Listening:
    """Turns what comes over the line into calls of a progress."""

    def __init__(self, line: Any) -> None:
        self._line = line
        self._steps: dict[int, tuple[str, int, int] | None] = {}
        self._shown: str | None = None

    def show(self, progress: Progress, piece: int) -> None:
        """Say what any piece said, and how far the one is that is waited for.

        Raises:
            RayError: the line is gone.
        """
        heard = ray.get(self._line.listen.remote())
        for text in heard.said:
            progress.say(text)
        self._steps.update(heard.steps)
        now = self._steps.get(piece)
        if self._shown and (now is None or now[0] != self._shown):
            self.close(progress)
        if now is None:
            return
        step, done, total = now
        if self._shown is None:
            progress.started(step, total)
            self._shown = step
        if done:
            progress.advanced(step, done, total)

    def close(self, progress: Progress) -> None:
        """The piece that was waited for is done, or will not be."""
        if self._shown:
            progress.finished(self._shown)
            self._shown = None
