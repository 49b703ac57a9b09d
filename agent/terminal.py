"""Progress on standard error: a bar with the time left on a terminal, now and then a plain line otherwise."""

import sys
import time
from typing import Any, TextIO

from analyzers.progress import Progress
from tools.wording import duration

EVERY = 5.0  # seconds between two plain lines


class TerminalProgress(Progress):
    """Shows how far a step is. Steps may be nested."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._bars: dict[str, Any] = {}
        self._since: dict[str, float] = {}
        self._shown = time.monotonic()

    @property
    def _live(self) -> bool:
        return self._stream.isatty()

    def started(self, step: str, total: int) -> None:
        self._since[step] = time.monotonic()
        if self._live:
            from tqdm import tqdm

            form = "{desc} {percentage:3.0f} % |{bar}| {n_fmt}/{total_fmt}, {remaining} left"
            self._bars[step] = tqdm(
                total=total, desc=step, file=self._stream, leave=False, dynamic_ncols=True, bar_format=form
            )

    def advanced(self, step: str, done: int, total: int) -> None:
        if step in self._bars:
            self._bars[step].update(done - self._bars[step].n)
            return
        now = time.monotonic()
        if now - self._shown >= EVERY and done < total:
            left = (now - self._since.get(step, now)) / done * (total - done)
            self._line(f"{step}: {done} of {total}, about {duration(left)} left")

    def finished(self, step: str) -> None:
        took = time.monotonic() - self._since.pop(step, time.monotonic())
        bar = self._bars.pop(step, None)
        if bar is not None:
            bar.close()
        elif took >= EVERY:
            self._line(f"{step}: {duration(took)}")

    def say(self, text: str) -> None:
        if self._bars:
            from tqdm import tqdm

            tqdm.write(text, file=self._stream)
        else:
            self._line(text)

    def _line(self, text: str) -> None:
        self._shown = time.monotonic()
        print(text, file=self._stream, flush=True)
