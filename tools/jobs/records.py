"""What is known about a job."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import SerializeAsAny, model_validator

from analyzers.records import Record, Request, now
from analyzers.requests import REQUESTS

Status = Literal["queued", "running", "done", "failed", "cancelled", "orphaned"]
ENDED: tuple[Status, ...] = ("done", "failed", "cancelled", "orphaned")
RESUMABLE = ("train", "compress")  # workflows that are told to go on; the others take up what they find by themselves


class Process(Record):
    """A process and when it began: numbers are given to others again, both together are not."""

    pid: int
    began: str


class Step(Record):
    """How far the step is that a job is at."""

    step: str
    done: int
    total: int
    fraction: float  # 0 to 1
    seconds_left: float | None  # of this step; None until there is something to go by


class Job(Record):
    """A workflow that was, is or will be run in a process of its own. The list of jobs holds exactly this."""

    id: str
    workflow: str  # a verb: train, analyze, plan, ...
    request: SerializeAsAny[Request]
    command: str
    resume: bool = False
    status: Status = "queued"
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    folder: Path  # that paths in the request are relative to
    cache: Path
    device: str
    threads: int | None
    engine: str = "local"  # where it computes
    workers: int  # jobs that may run beside each other, this one among them
    needs_mb: float | None = None  # memory that it will take at least, as far as that was known
    attempt: int = 0  # how often it was started: what an earlier one still has to say is not meant for this one
    supervisor: Process | None = None  # waits for the worker, and says how it ended
    worker: Process | None = None
    cancelling: bool = False
    progress: Step | None = None
    messages: tuple[str, ...] = ()
    log: Path
    run: str | None = None
    error: str | None = None
    error_type: str | None = None  # a class of analyzers.errors, or of Python
    peak_memory_mb: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _request_of_its_workflow(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("request"), dict) and data.get("workflow") in REQUESTS:
            data = {**data, "request": REQUESTS[data["workflow"]].model_validate(data["request"])}
        return data

    @property
    def seconds(self) -> float | None:
        """From its start to its end, or to now; None: it was not started."""
        if self.started is None:
            return None
        return max(0.0, ((self.ended or now()) - self.started).total_seconds())  # clocks go backwards

    @property
    def over(self) -> bool:
        return self.status in ENDED
