"""What happens while a message is answered. A user interface only shows these; it knows nothing else of a session."""

from typing import Any, Literal

from analyzers.records import Record
from tools.estimates import Forecasts


class Text(Record):
    """A piece of what the model says, as it comes."""

    text: str


class ToolStarted(Record):
    call_id: str
    name: str
    arguments: dict[str, Any]


class ToolProgress(Record):
    """How far the running tool is."""

    step: str
    done: int
    total: int
    fraction: float  # 0 to 1
    seconds_left: float | None  # None until there is something to go by


class ToolNote(Record):
    """One line that a workflow says while it works."""

    text: str


class ToolFinished(Record):
    call_id: str
    name: str
    run_id: str | None  # the run that the tool made or showed
    summary: str  # one line


class ToolFailed(Record):
    call_id: str
    name: str
    message: str


class ToolRefused(Record):
    """The user, or the flag of a batch run, did not want the call."""

    call_id: str
    name: str
    message: str


class Backed(Record):
    """A number of an answer and the fact behind it, for a reader who wants to see where it is from."""

    number: str
    start: int  # in the text of the answer
    end: int
    value: float | None  # exact; None for a list of layers and for what a text says
    unit: str
    low: float | None
    high: float | None
    run: str | None
    path: str  # in the record of the run, or in the result of a tool; two where the number was recomputed


class Withdrawn(Record):
    """The text so far is taken back: numbers in it have no fact. What follows, or the text of the answer, replaces it."""

    unsupported: tuple[str, ...]


class Answer(Record):
    """The end of a turn that was answered."""

    text: str
    run_ids: tuple[str, ...]  # runs that the answer cites
    grounded: bool  # every number was found in the facts of the turn
    unsupported: tuple[str, ...] = ()  # the numbers that were not
    facts: tuple[Backed, ...] = ()  # behind the others, in their order


class Failed(Record):
    """The end of a turn that could not be answered."""

    message: str


class Stopped(Record):
    """The end of a turn that the user stopped. What was finished is kept."""

    message: str
    run_ids: tuple[str, ...]  # runs that the turn had finished


class ApprovalNeeded(Record):
    """The end of a stream, not of the turn: a step waits for the user, also in another process and on another day."""

    call_id: str
    name: str
    arguments: dict[str, Any]
    reason: Literal["long", "unknown", "deletes"]  # unknown: nobody knows how long
    estimate: Forecasts | None  # None where nothing is computed
    dependants: tuple[str, ...] = ()  # runs that lose what they were made from
    decisions: tuple[Literal["approve", "change", "refuse"], ...]
    text: str  # the question, in the language of the user


Tools = ToolStarted | ToolProgress | ToolNote | ToolFinished | ToolFailed | ToolRefused
Event = Text | Withdrawn | Tools | ApprovalNeeded | Answer | Failed | Stopped
END = (Answer, Failed, Stopped, ApprovalNeeded)
