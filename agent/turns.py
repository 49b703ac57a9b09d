"""One turn of a conversation: what LangGraph streams, as events, and the progress of a tool, as events too."""

import queue
import time
from collections.abc import Iterable
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage

from agent.events import Event, Stopped, Text, ToolFailed, ToolFinished, ToolNote, ToolProgress, ToolRefused
from agent.refusals import is_refusal
from analyzers.errors import Cancelled, LayerwiseError
from analyzers.progress import Progress

TICKS_EVERY = 0.2  # seconds between two events of progress
Events = queue.SimpleQueue[Event | BaseException]


class Turn:
    """Turns what LangGraph streams into events, and keeps what the end of the turn needs.

    Args:
        events: where they go.
        before: the messages of the turn so far, where it was interrupted by a question; they were shown already.
    """

    def __init__(self, events: Events, before: Iterable[BaseMessage] = ()) -> None:
        self._events = events
        self.answer = ""
        self.calls = 0  # of the model
        self.facts: list[str] = []  # results of tools
        self.errors: list[str] = []  # what failed tools said
        self.finished: list[str] = []  # runs
        for message in before:
            self._learn(message)

    def take(self, mode: str, part: Any) -> None:
        """Look at one piece of the stream."""
        if mode == "messages":
            message, _ = part
            if isinstance(message, AIMessageChunk) and message.text:
                self._events.put(Text(text=message.text))
            return
        again = part.get("__metadata__", {}).get(
            "cached"
        )  # a resumed turn tells once more what finished beside the question
        for node, update in part.items():
            if node.startswith("__") or not isinstance(update, dict):  # an interrupt, or a note of LangGraph
                continue
            for message in update.get("messages", []):
                self._learn(message)
                if not again:
                    self._show(message)

    def _learn(self, message: BaseMessage) -> None:
        """Keep what the end of the turn needs."""
        if isinstance(message, AIMessage):
            self.calls += 1
            self.answer = "" if message.tool_calls else message.text
        elif isinstance(message, ToolMessage):
            if message.status == "error":
                self.errors.append(message.text)
                return
            self.facts.append(message.text)
            made = str(message.name).endswith(("_model", "_layers", "_compression"))
            self.finished += _runs(message)[:1] if made else []

    def _show(self, message: BaseMessage) -> None:
        if not isinstance(message, ToolMessage):
            return
        name, call_id = str(message.name), message.tool_call_id
        if is_refusal(message):
            self._events.put(ToolRefused(call_id=call_id, name=name, message=message.text))
        elif message.status == "error":
            self._events.put(ToolFailed(call_id=call_id, name=name, message=message.text))
        else:
            runs = _runs(message)
            summary = f"{name}: {', '.join(runs)}" if runs else name
            one = runs[0] if len(runs) == 1 else None
            self._events.put(ToolFinished(call_id=call_id, name=name, run_id=one, summary=summary))


def _runs(message: ToolMessage) -> list[str]:
    return message.artifact if isinstance(message.artifact, list) else []


class QueuedProgress(Progress):
    """Progress of a tool as events."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        self._events = events
        self._since: dict[str, float] = {}
        self._shown = 0.0

    def started(self, step: str, total: int) -> None:
        self._since[step] = time.monotonic()
        self._put(step, 0, total)

    def advanced(self, step: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._shown >= TICKS_EVERY:
            self._put(step, done, total)

    def say(self, text: str) -> None:
        self._events.put(ToolNote(text=text))

    def _put(self, step: str, done: int, total: int) -> None:
        self._shown = now = time.monotonic()
        left = (now - self._since.get(step, now)) / done * (total - done) if done else None
        fraction = min(done / total, 1.0) if total else 0.0
        self._events.put(ToolProgress(step=step, done=done, total=total, fraction=fraction, seconds_left=left))


def readable(error: Exception, request: Any) -> str | None:  # noqa: ARG001
    """What the model reads of an error; None lets it end the turn."""
    if isinstance(error, Cancelled):
        return None
    if isinstance(error, LayerwiseError):
        return str(error)
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def stopped(turn: Turn) -> Stopped:
    """The end of a turn that the user stopped."""
    kept = f"finished and kept: {', '.join(turn.finished)}" if turn.finished else "no run was finished"
    return Stopped(message=f'stopped; {kept}; say "continue" to go on', run_ids=tuple(turn.finished))
