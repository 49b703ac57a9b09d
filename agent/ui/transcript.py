"""What a page shows of a conversation: the events of its turns as a list of items. No page in it, and no words.

Items are replaced, never changed, so that whoever draws them sees which are new.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Literal

from agent.events import (
    Answer,
    ApprovalNeeded,
    Backed,
    Event,
    Failed,
    Stopped,
    Text,
    ToolFailed,
    ToolFinished,
    ToolNote,
    ToolProgress,
    ToolRefused,
    ToolStarted,
    Withdrawn,
)
from agent.sessions import Line

_numbers = count(1)


def _new_id() -> str:
    return f"item-{next(_numbers)}"


@dataclass(frozen=True)
class Item:
    id: str = field(default_factory=_new_id, kw_only=True)


@dataclass(frozen=True)
class Said(Item):
    """A message of the user."""

    text: str
    state: Literal["sent", "waiting", "kept"] = (
        "sent"  # waiting: for the end of the turn; kept: never sent, after a stop
    )
    answer: bool = False  # to a question


@dataclass(frozen=True)
class Decided(Item):
    """What the user decided on the question before it."""

    decision: str
    arguments: tuple[tuple[str, Any], ...] = ()  # of a change


@dataclass(frozen=True)
class Reply(Item):
    """What the model says; its facts are there when it is whole."""

    text: str
    whole: bool = False
    facts: tuple[Backed, ...] = ()
    unsupported: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step(Item):
    """A call of a tool."""

    call: str
    name: str
    arguments: tuple[tuple[str, Any], ...] = ()
    status: Literal["running", "done", "failed", "refused", "stopped"] = "running"
    began: float | None = None  # of the monotonic clock; None: it was before this process
    ended: float | None = None
    progress: ToolProgress | None = None
    notes: tuple[str, ...] = ()
    run: str | None = None
    message: str = ""  # why it failed

    def seconds(self, now: float) -> int | None:
        """How long it takes or took; None where nobody saw it begin, or it was there at once."""
        took = 0.0 if self.began is None else (self.ended or now) - self.began
        return int(took) if took >= 1 else None


@dataclass(frozen=True)
class Question(Item):
    """A step that waits for the user."""

    asked: ApprovalNeeded
    open: bool = True


@dataclass(frozen=True)
class Notice(Item):
    """What went wrong, or was stopped, or taken back."""

    kind: Literal["failed", "stopped", "withdrawn", "interrupted", "note"]
    text: str


class Transcript:
    """The items of one conversation, the oldest first.

    Args:
        lines: what was said before this process had the conversation.
    """

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.items: list[Item] = [item for line in lines for item in _from(line)]

    def say(self, text: str, waiting: bool = False, answer: bool = False) -> Said:
        """A message of the user; one that waits stands at the end until `sent`."""
        said = Said(text, "waiting" if waiting else "sent", answer)
        self.items.append(said)
        if not waiting:
            self._settle_question()
        return said

    def sent(self, said: Said) -> None:
        """A message that waited is being answered now: it moves behind what was answered before it."""
        self.remove(said)
        self.say(said.text)

    def cut(self, said: Said) -> list[Item]:
        """Take back a message and all that follows it; what was taken back."""
        place = self.items.index(said)
        gone, self.items = self.items[place:], self.items[:place]
        return gone

    def keep(self, said: Said) -> None:
        """A message that waited is not going to be sent."""
        self._put(replace(said, state="kept"))

    def remove(self, said: Item) -> None:
        self.items = [item for item in self.items if item.id != said.id]

    def decide(self, decision: str, arguments: Iterable[tuple[str, Any]] = ()) -> None:
        self._settle_question()
        self._add(Decided(decision, tuple(arguments)))

    def notice(self, kind: Literal["failed", "stopped", "withdrawn", "interrupted", "note"], text: str) -> None:
        self._add(Notice(kind, text))

    def question(self) -> Question | None:
        """The question that waits for an answer."""
        return next((each for each in reversed(self.items) if isinstance(each, Question) and each.open), None)

    def ask(self, asked: ApprovalNeeded) -> None:
        self._settle_question()
        self._add(Question(asked))

    def take(self, event: Event) -> None:
        """Let an event of a turn be seen."""
        match event:
            case Text(text=text):
                reply = self._open_reply()
                self._put(replace(reply, text=reply.text + text)) if reply else self._add(Reply(text))
            case Withdrawn(unsupported=unsupported):
                self.items = [item for item in self.items if not (isinstance(item, Reply) and not item.whole)]
                self.notice("withdrawn", "; ".join(unsupported))
            case ToolStarted(call_id=call, name=name, arguments=arguments):
                self._close_reply()
                again = self._step(call)
                step = Step(call, name, tuple(arguments.items()), began=time.monotonic())
                self._put(replace(step, id=again.id)) if again else self._add(step)
            case ToolProgress():
                if running := self._running():
                    self._put(replace(running, progress=event))
            case ToolNote(text=text):
                at = self._running()
                self._put(replace(at, notes=(*at.notes, text))) if at else self.notice("note", text)
            case ToolFinished(call_id=call, name=name, run_id=run):
                self._end(call, name, status="done", run=run)
            case ToolFailed(call_id=call, name=name, message=message):
                self._end(call, name, status="failed", message=message)
            case ToolRefused(call_id=call, name=name):
                self._end(call, name, status="refused")
            case ApprovalNeeded():
                self._close_reply()
                self.ask(event)
            case Answer():
                reply = self._open_reply()
                whole = Reply(event.text, True, event.facts, event.unsupported)
                self._put(replace(whole, id=reply.id)) if reply else self._add(whole)
            case Failed(message=message) | Stopped(message=message):
                self._close_reply()
                for step in self._steps():
                    if step.status == "running":
                        left: Any = "stopped" if isinstance(event, Stopped) else "failed"
                        self._put(replace(step, status=left, ended=time.monotonic()))
                self.notice("stopped" if isinstance(event, Stopped) else "failed", message)

    def _end(self, call: str, name: str, **how: Any) -> None:
        self._close_reply()
        found = self._step(call)
        step = found or Step(call, name)
        ended = replace(step, ended=time.monotonic() if step.began is not None else None, **how)
        self._put(ended) if found else self._add(ended)

    def _steps(self) -> Iterator[Step]:
        return (item for item in list(self.items) if isinstance(item, Step))

    def _step(self, call: str) -> Step | None:
        return next((step for step in self._steps() if step.call == call), None)

    def _running(self) -> Step | None:
        return next((step for step in self._steps() if step.status == "running"), None)

    def _open_reply(self) -> Reply | None:
        return next((item for item in self.items if isinstance(item, Reply) and not item.whole), None)

    def _close_reply(self) -> None:
        if reply := self._open_reply():
            self._put(replace(reply, whole=True))

    def _settle_question(self) -> None:
        if question := self.question():
            self._put(replace(question, open=False))

    def _put(self, item: Item) -> None:
        self.items = [item if each.id == item.id else each for each in self.items]

    def _add(self, item: Item) -> None:
        """Messages that wait stay behind what belongs to the turn before them."""
        place = len(self.items)
        while place and isinstance(before := self.items[place - 1], Said) and before.state == "waiting":
            place -= 1
        self.items.insert(place, item)


def _from(line: Line) -> Iterator[Item]:
    match line.who:
        case "user":
            yield Said(line.text)
        case "assistant":
            yield Reply(line.text, True, line.facts)
        case "step":
            name, _, rest = line.text.partition("(")
            arguments, _, came = rest.rpartition("): ")
            failed = not came or " " in came  # else ids of runs, or "done"
            yield Step(
                "",
                name,
                (("", arguments),) if arguments else (),
                "failed" if failed else "done",
                run=None if failed or came == "done" else came.split(",")[0],
                message=came if failed else "",
            )
