"""How much a search may measure: sets of layers, or minutes."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

EVALUATIONS = 64.0  # where nobody says otherwise


@dataclass
class Budget:
    """Evaluations are sets measured on all select examples, or the same amount of work on fewer."""

    evaluations: float | None = None
    minutes: float | None = None
    earlier: float = 0.0  # seconds that a killed run had spent
    clock: Callable[[float], object] = lambda _: None  # told the seconds now and then, to be kept for who takes it up
    began: float = field(default_factory=lambda: time.monotonic())

    def __post_init__(self) -> None:
        if self.evaluations is None and self.minutes is None:
            self.evaluations = EVALUATIONS

    @property
    def seconds(self) -> float:
        """Since the search began, those of a killed run with it."""
        return self.earlier + time.monotonic() - self.began

    @property
    def enough(self) -> float:
        """Evaluations for which everything is measured rather than searched."""
        return EVALUATIONS if self.evaluations is None else self.evaluations

    def left(self, spent: float) -> float:
        """Evaluations that are left; without a limit of them none or infinitely many, as the clock says."""
        if self.minutes is not None and self.seconds >= 60 * self.minutes:
            return 0.0
        return math.inf if self.evaluations is None else max(0.0, self.evaluations - spent)

    def mark(self) -> None:
        """Keep the time that was spent so far."""
        if self.minutes is not None:
            self.clock(self.seconds)

    def told(self, spent: float) -> str:
        """What is gone, for the progress."""
        parts = [] if self.evaluations is None else [f"{spent:.0f} of {self.evaluations:g} evaluations"]
        if self.minutes is not None:
            parts.append(f"{self.seconds / 60:.1f} of {self.minutes:g} minutes")
        return ", ".join(parts)

    def time_left(self, spent: float) -> float | None:
        """Seconds that the rest will take at the pace so far; None before there is one."""
        by_clock = None if self.minutes is None else max(0.0, 60 * self.minutes - self.seconds)
        took = time.monotonic() - self.began
        if self.evaluations is None or spent <= 0:
            return by_clock
        by_work = self.left(spent) * took / spent
        return by_work if by_clock is None else min(by_work, by_clock)
