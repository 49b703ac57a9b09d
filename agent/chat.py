"""A conversation as a stream of events. No user interface in it.

The agent runs in a thread of its own and puts events on a queue; whoever reads the stream stays free to cancel.
"""

import queue
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    ToolCallLimitMiddleware,
    ToolErrorMiddleware,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver

from agent.backing import backed, once_more, retold
from agent.events import (
    END,
    Event,
    Failed,
    Stopped,
    Text,
    ToolFailed,
    ToolFinished,
    ToolNote,
    ToolProgress,
    ToolStarted,
    Withdrawn,
)
from agent.llm import LanguageModel, explain, passes
from agent.strategies.calling import MODEL_CALLS, TOOL_CALLS, Calling
from analyzers.errors import Cancelled, LanguageModelError, LayerwiseError, StorageError, UsageError
from analyzers.progress import Progress
from analyzers.records import Run
from analyzers.run_ids import new_run_id
from prompts import load
from tools.catalog import catalog
from tools.workspace import Workspace

KNOWN_RUNS = 30  # the newest that a language model is told of
CLOSING = 5.0  # seconds that a workflow gets to reach its next tick
TICK = 0.1  # seconds between two looks at the queue; a key press is seen at the next
TICKS_EVERY = 0.2  # seconds between two events of progress
_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ChatSession:
    """One conversation, kept in `workspace.sessions` and continued under the same id.

    Args:
        llm: the language model, from `agent.llm.choose`.
        workspace: where its tools read and write.
        session_id: letters, digits, `.`, `_`, `-`; a new one is made when it is None.
        workflows: stands for `tools.workflows`, where no model is to be loaded.

    Raises:
        UsageError: the id is not allowed.
        StorageError: the history cannot be opened.
    """

    def __init__(
        self, llm: LanguageModel, workspace: Workspace, session_id: str | None = None, workflows: Any = None
    ) -> None:
        self.id = session_id or new_run_id("plan").replace("plan", "chat")
        if not _SESSION_ID.fullmatch(self.id):
            raise UsageError(f"{self.id!r} cannot name a session; allowed are up to 64 letters, digits and . _ -")
        self.llm = llm
        self._workspace = workspace
        self._events: queue.SimpleQueue[Event | BaseException] = queue.SimpleQueue()
        self._progress: _QueuedProgress | None = None
        self._worker: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._busy = threading.Lock()
        self._connection = _connect(workspace)
        tools = catalog(workspace, self._new_progress, workflows)
        limits: list[Any] = [
            ModelCallLimitMiddleware(run_limit=MODEL_CALLS + 1),  # one more for the end of a turn that went too far
            ToolCallLimitMiddleware(run_limit=TOOL_CALLS),
            ToolErrorMiddleware(_readable),
        ]
        if llm.name != "offline":  # the planner makes exact calls by itself
            limits += [
                Calling(
                    llm.grade, [tool.name for tool in tools], self._known_runs, llm.context, self._explain, self._note
                ),
                ModelRetryMiddleware(
                    max_retries=llm.retries, retry_on=passes, on_failure="error", initial_delay=llm.patience
                ),
            ]
        self._agent = create_agent(
            llm.model,
            tools,
            system_prompt=load("system.md"),
            middleware=limits,
            checkpointer=SqliteSaver(self._connection),
        )
        self._config: Any = {"configurable": {"thread_id": self.id}}

    def stream(self, text: str) -> Iterator[Event]:
        """Answer one message; the last event is an Answer, Failed or Stopped.

        Raises:
            UsageError: an earlier message is still being answered, or the text is empty.
        """
        if not text.strip():
            raise UsageError("the message is empty; say what you want to know")
        if not self._busy.acquire(blocking=False):
            raise UsageError("the last message is still being answered; wait, or cancel it")
        self._cancelled.clear()
        self._events = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._answer, args=(text,), name=f"chat {self.id}", daemon=True)
        self._worker.start()
        return self._drain(self._worker)

    def cancel(self) -> None:
        """Stop the message that is being answered: a workflow ends at its next tick. May be called from any thread."""
        self._cancelled.set()
        if progress := self._progress:
            progress.cancel()

    def history(self) -> list[tuple[str, str]]:
        """What was said so far: ("user" or "assistant", text), the oldest first."""
        said: list[tuple[str, str]] = []
        for message in self._messages():
            if isinstance(message, HumanMessage):
                said.append(("user", str(message.text)))
            elif isinstance(message, AIMessage) and message.text and not message.tool_calls:
                said.append(("assistant", str(message.text)))
        return said

    def close(self) -> None:
        """Stop what is being answered, and let go of the history."""
        if self._worker and self._worker.is_alive():
            self.cancel()
            self._worker.join(CLOSING)
        self._connection.close()

    def _drain(self, worker: threading.Thread) -> Iterator[Event]:
        try:
            while True:
                try:
                    event = self._events.get(timeout=TICK)
                except queue.Empty:
                    continue
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, END):
                    return
        finally:
            if worker.is_alive():  # whoever read the stream has gone
                self.cancel()

    def _answer(self, text: str) -> None:
        """Runs in the thread: every way out puts an event of the end on the queue."""
        events = self._events
        turn = _Turn(events)
        try:
            self._repair()
            given: Any = {"messages": [HumanMessage(text)]}
            modes: Any = ["messages", "updates"]
            # "sync": what a tool finished is on disk before the next step starts
            for mode, part in self._agent.stream(given, self._config, stream_mode=modes, durability="sync"):
                if self._cancelled.is_set():
                    raise Cancelled("stopped")
                turn.take(str(mode), part)
            end: Event | BaseException = self._ended(turn, text)
        except Cancelled:
            end = _stopped(turn)
        except LayerwiseError as problem:
            end = Failed(message=str(problem))
        except BaseException as problem:  # noqa: BLE001 - handed to the reader of the stream, who waits in another thread
            known = self._explain(problem) if isinstance(problem, Exception) else None
            end = Failed(message=str(known)) if known else problem
        self._progress = None
        if isinstance(end, Stopped):
            with suppress(sqlite3.Error):  # closed meanwhile; the next message begins with a repair anyway
                self._repair()
        self._busy.release()  # before the end is told: whoever reads it may send the next message at once
        events.put(end)

    def _ended(self, turn: "_Turn", said: str) -> Event:
        if not turn.answer:
            return Failed(message=f"{self.llm.name} gave no answer; ask again, or choose another: --llm offline")
        told = [*turn.facts, *turn.errors]
        answer = backed(turn.answer, told, said, self._run)
        if answer.grounded or self.llm.name == "offline":
            return answer
        self._events.put(Withdrawn(unsupported=answer.unsupported))
        messages = self._messages()
        try:
            second = once_more(self.llm.model.invoke, messages, answer) if turn.calls < MODEL_CALLS else ""
        except Exception as problem:
            if self._explain(problem) is None:
                raise  # a fault of ours
            second = ""  # the model is gone; what the tools found can still be told
        again = backed(second, told, said, self._run)
        if not second or not again.grounded:
            again = backed(retold(messages, said), told, said, self._run)
        self._replace_answer(again.text)
        return again

    def _replace_answer(self, text: str) -> None:
        """Keep what the reader was shown, not what was withdrawn."""
        last = next((each for each in reversed(self._messages()) if isinstance(each, AIMessage)), None)
        if last is not None and not last.tool_calls:
            shown = {"messages": [AIMessage(text, id=last.id, response_metadata=last.response_metadata)]}
            self._agent.update_state(self._config, shown, as_node="model")

    def _explain(self, problem: Exception) -> LanguageModelError | None:
        return explain(problem, self.llm.name, self.llm.timeout)

    def _note(self, text: str) -> None:
        self._events.put(ToolNote(text=text))

    def _known_runs(self) -> list[Run]:
        return self._workspace.runs.list(limit=KNOWN_RUNS)

    def _run(self, run_id: str) -> Run | None:
        try:
            return self._workspace.runs.get(run_id)
        except LayerwiseError:
            return None  # named in an error or deleted since: no fact

    def _new_progress(self) -> Progress:
        self._progress = _QueuedProgress(self._events)
        if self._cancelled.is_set():
            self._progress.cancel()
        return self._progress

    def _messages(self) -> list[BaseMessage]:
        return list(self._agent.get_state(self._config).values.get("messages", []))

    def _repair(self) -> None:
        """Answer the tool calls that a stopped turn left open: language models reject a history that has some."""
        messages = self._messages()
        answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
        last = next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)
        open_calls = [call for call in (last.tool_calls if last else []) if call["id"] not in answered]
        if open_calls:
            aborted = [
                ToolMessage("stopped by the user", tool_call_id=call["id"], name=call["name"], status="error")
                for call in open_calls
            ]
            self._agent.update_state(self._config, {"messages": aborted}, as_node="tools")


class _Turn:
    """Turns what LangGraph streams into events, and keeps what the end of the turn needs."""

    def __init__(self, events: "queue.SimpleQueue[Event | BaseException]") -> None:
        self._events = events
        self.answer = ""
        self.calls = 0  # of the model
        self.facts: list[str] = []  # results of tools
        self.errors: list[str] = []  # what failed tools said
        self.finished: list[str] = []  # runs

    def take(self, mode: str, part: Any) -> None:
        if mode == "messages":
            message, _ = part
            if isinstance(message, AIMessageChunk) and message.text:
                self._events.put(Text(text=message.text))
            return
        for update in part.values():
            for message in (update or {}).get("messages", []):
                self._message(message)

    def _message(self, message: BaseMessage) -> None:
        if isinstance(message, AIMessage):
            self.calls += 1
            self.answer = "" if message.tool_calls else message.text
            for call in message.tool_calls:
                started = ToolStarted(call_id=str(call["id"]), name=call["name"], arguments=call["args"])
                self._events.put(started)
        elif isinstance(message, ToolMessage):
            name, call_id = str(message.name), message.tool_call_id
            if message.status == "error":
                self.errors.append(message.text)
                self._events.put(ToolFailed(call_id=call_id, name=name, message=message.text))
                return
            self.facts.append(message.text)
            runs = message.artifact if isinstance(message.artifact, list) else []
            self.finished += runs[:1] if name.endswith(("_model", "_layers", "_compression")) else []
            summary = f"{name}: {', '.join(runs)}" if runs else name
            one = runs[0] if len(runs) == 1 else None
            self._events.put(ToolFinished(call_id=call_id, name=name, run_id=one, summary=summary))


class _QueuedProgress(Progress):
    """Progress of a tool as events."""

    def __init__(self, events: "queue.SimpleQueue[Event | BaseException]") -> None:
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


def _readable(error: Exception, request: Any) -> str | None:  # noqa: ARG001
    """What the model reads of an error; None lets it end the turn."""
    if isinstance(error, Cancelled):
        return None
    if isinstance(error, LayerwiseError):
        return str(error)
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _stopped(turn: _Turn) -> Stopped:
    kept = f"finished and kept: {', '.join(turn.finished)}" if turn.finished else "no run was finished"
    return Stopped(message=f'stopped; {kept}; say "continue" to go on', run_ids=tuple(turn.finished))


def _connect(workspace: Workspace) -> sqlite3.Connection:
    path = workspace.sessions / "sessions.sqlite"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # one connection is used by the reader's thread and the agent's; SqliteSaver has a lock of its own
        return sqlite3.connect(path, check_same_thread=False, timeout=30)
    except (OSError, sqlite3.Error) as problem:
        raise StorageError(f"cannot open {path}: {problem}; choose another --home") from problem
