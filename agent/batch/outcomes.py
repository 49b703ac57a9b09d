"""What became of a batch and of each of its steps: what `--json`, the webhook and the JUnit file are made of."""

from datetime import datetime
from typing import Literal

from agent.batch.gates import Checked
from analyzers.records import Measurement, Record

Status = Literal["done", "reused", "failed", "skipped", "cancelled"]
End = Literal["done", "failed", "cancelled"]
EXIT = {"done": 0, "failed": 1, "cancelled": 3}


class Result(Record):
    """What a step made."""

    run: str | None = None
    reused: bool = False  # taken from history
    gist: str = ""  # in a few words
    answer: str | None = None  # of a language model
    path: str | None = None  # of a file that it wrote
    measurements: tuple[Measurement, ...] = ()


class StepOutcome(Result):
    """A step with one combination of matrix values."""

    name: str
    verb: str
    status: Status
    seconds: float = 0.0
    command: str | None = None  # that does the same alone
    message: str = ""  # why it failed or was skipped
    gates: tuple[Checked, ...] = ()
    optional: bool = False

    @property
    def good(self) -> bool:
        return self.status in ("done", "reused")


class Summary(Record):
    """The whole batch."""

    name: str
    status: End
    started: datetime
    seconds: float
    steps: tuple[StepOutcome, ...]
    notes: tuple[str, ...] = ()  # such as a webhook that did not answer
