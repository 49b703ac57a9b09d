"""Progress as lines and as a bar."""

import io

import pytest

from agent import terminal
from agent.terminal import TerminalProgress


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(terminal.time, "monotonic", clock.monotonic)
    return clock


def test_lines_are_few_and_tell_the_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    progress = TerminalProgress(stream)
    for _ in progress.track(range(100), 100, "training"):
        clock.now += 0.25
    assert stream.getvalue().splitlines() == [
        "training: 20 of 100, about 20 s left",
        "training: 40 of 100, about 15 s left",
        "training: 60 of 100, about 10 s left",
        "training: 80 of 100, about 5.0 s left",
        "training: 25 s",
    ]


def test_a_short_step_says_nothing(clock: Clock) -> None:
    stream = io.StringIO()
    for _ in TerminalProgress(stream).track(range(3), 3, "reading"):
        clock.now += 0.1
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_and_lines_above_it() -> None:
    stream = Screen()
    progress = TerminalProgress(stream)
    for number in progress.track(range(4), 4, "training"):
        if number == 2:
            progress.say("best so far")
    shown = stream.getvalue()
    assert "training" in shown
    assert " left" in shown
    assert "best so far\n" in shown


def test_an_interrupted_step_closes_its_bar() -> None:
    progress = TerminalProgress(Screen())
    steps = progress.track(range(4), 4, "training")
    next(steps)
    steps.close()
    assert progress._bars == {}
