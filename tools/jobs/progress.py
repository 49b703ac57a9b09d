"""How far a job is: written into the list by the process that works, read from there by those who follow."""

import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from analyzers.errors import LayerwiseError
from analyzers.footprint import memory_peak
from analyzers.progress import Progress
from tools.jobs.records import Job, Step

EVERY = 0.5  # seconds between two writes


class JobProgress(Progress):
    """Progress of a workflow, for `write`. What cannot be written is lost: it never ends the work."""

    def __init__(self, write: Callable[..., Any]) -> None:
        super().__init__()
        self._write = write
        self._since: dict[str, float] = {}
        self._written = 0.0
        self._said: tuple[str, ...] = ()

    def started(self, step: str, total: int) -> None:
        self._since[step] = time.monotonic()
        self._tell(step, 0, total)

    def advanced(self, step: str, done: int, total: int) -> None:
        self._tell(step, done, total)

    def finished(self, step: str) -> None:
        self._since.pop(step, None)

    def say(self, text: str) -> None:
        with suppress(OSError):  # a full disk
            print(text, file=sys.stderr, flush=True)
        self._said += (text,)
        with suppress(LayerwiseError):
            self._write(messages=self._said)

    def _tell(self, step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._written and now - self._written < EVERY:
            return
        self._written = now
        left = (now - self._since.get(step, now)) / done * (total - done) if done else None
        fraction = min(done / total, 1.0) if total else 0.0
        with suppress(LayerwiseError):
            self._write(
                progress=Step(step=step, done=done, total=total, fraction=fraction, seconds_left=left),
                peak_memory_mb=_peak_mb(),
            )


class Shown:
    """Turns what the list says of a job into calls of a `Progress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._heard = 0
        self._step: Step | None = None

    def show(self, job: Job) -> None:
        if len(job.messages) < self._heard:  # the job was resumed
            self._heard = 0
        for text in job.messages[self._heard :]:
            self._progress.say(text)
        self._heard = len(job.messages)
        step, before = job.progress, self._step
        if before and (job.over or step is None or step.step != before.step):
            self._progress.finished(before.step)
            self._step = before = None
        if step is None or job.over or step == before:
            return
        if before is None:
            self._progress.started(step.step, step.total)
        if step.done:
            self._progress.advanced(step.step, step.done, step.total)
        self._step = step


def _peak_mb() -> float:
    """Of this process and of those that it waited for; an analysis forgets its own peak, not that of the others."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return round(max(memory_peak(), others) / 1e6, 1)
