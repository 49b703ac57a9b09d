"""A conversation as a stream of events. No user interface in it.

The agent runs in a thread of its own and puts events on a queue; whoever reads the stream stays free to cancel.
"""

import queue
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import Any, Literal

from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.types import Command

from agent.again import instead, place_of
from agent.approvals import ASK_ABOVE, Approvals, Mode, Pending, pending_of
from agent.backing import backed, once_more, retold
from agent.checkpoints import Checkpoints
from agent.decisions import changed, decision_of
from agent.events import (
    END,
    Answer,
    ApprovalNeeded,
    Event,
    Failed,
    Stopped,
    ToolFinished,
    ToolNote,
    ToolRefused,
    ToolStarted,
    Withdrawn,
)
from agent.history import mended
from agent.llm import LanguageModel, explain
from agent.middleware import middleware
from agent.narratives import templates
from agent.planner.memory import last_of_user
from agent.planner.reading import language_of
from agent.refusals import refusal
from agent.sessions import Begun, Sessions
from agent.strategies.calling import MODEL_CALLS
from agent.turns import Events, QueuedProgress, Turn, stopped
from analyzers.errors import Cancelled, LanguageModelError, LayerwiseError, UsageError
from analyzers.progress import Progress
from analyzers.records import Run
from analyzers.run_ids import new_run_id
from prompts import load
from tools.catalog import catalog, finished_since
from tools.workspace import Workspace

KNOWN_RUNS = 30  # the newest that a language model is told of
CLOSING = 5.0  # seconds that a workflow gets to reach its next tick
TICK = 0.1  # seconds between two looks at the queue; a key press is seen at the next
_SESSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ChatSession:
    """One conversation, kept in `workspace.sessions` and continued under the same id.

    Args:
        llm: the language model, from `agent.llm.choose`.
        workspace: where its tools read and write.
        session_id: letters, digits, `.`, `_`, `-`; a new one is made when it is None.
        workflows: stands for `tools.workflows`, where no model is to be loaded.
        approve: ask before steps that take long or delete; all: they are approved, none: they are refused.
        ask_above: seconds; a step that is expected to take longer, or nobody knows how long, takes long.

    Raises:
        UsageError: the id or `approve` is not allowed.
        StorageError: the history cannot be opened.
    """

    def __init__(
        self,
        llm: LanguageModel,
        workspace: Workspace,
        session_id: str | None = None,
        workflows: Any = None,
        approve: Mode = "ask",
        ask_above: float = ASK_ABOVE,
    ) -> None:
        self.id = session_id or new_run_id("plan").replace("plan", "chat")
        if not _SESSION_ID.fullmatch(self.id):
            raise UsageError(f"{self.id!r} cannot name a session; allowed are up to 64 letters, digits and . _ -")
        self.llm = llm
        self._workspace = workspace
        self._events: Events = queue.SimpleQueue()
        self._progress: QueuedProgress | None = None
        self._worker: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._busy = threading.Lock()
        self._approvals = Approvals(approve, ask_above, workspace, self._started)
        self._sessions = Sessions(workspace)
        self._checkpoints = Checkpoints(workspace)
        tools = catalog(workspace, self._new_progress, workflows, templates(workspace.runs))
        self._tools = {tool.name: tool for tool in tools}
        known = partial(workspace.runs.list, limit=KNOWN_RUNS)
        limits = middleware(llm, list(self._tools), known, self._explain, self._note)
        self._agent = create_agent(
            llm.model,
            tools,
            system_prompt=load("system.md"),
            middleware=[*limits, self._approvals],  # asks last: what is wrong with a call is said before
            checkpointer=SqliteSaver(self._checkpoints.connection),
        )
        self._config: Any = {"configurable": {"thread_id": self.id}}

    def stream(self, text: str) -> Iterator[Event]:
        """Answer one message; the last event is an Answer, Failed, Stopped or ApprovalNeeded.

        While a step waits for approval, "yes", "no" or other values for it are the decision. Any other message means that it
        is not wanted now: the step is told to be refused, and the message is answered.

        Raises:
            UsageError: an earlier message is still being answered, or the text is empty.
        """
        if not text.strip():
            raise UsageError("the message is empty; say what you want to know")
        waiting = None if self._busy.locked() else self._pending()
        if waiting is None:
            return self._begin({"messages": [HumanMessage(text)]}, text)
        asked = waiting.asked
        try:
            decided = decision_of(text, asked, self._tools[asked.name])
            if decided is None:
                return self._begin({"messages": [HumanMessage(text)]}, text)
            if decided.decision == "again":
                return iter((asked,))
            return self.decide(decided.decision, decided.arguments, text, rest=decided.rest)
        except UsageError as problem:
            return iter((ToolNote(text=str(problem)), asked))

    def again(self, text: str, said: str, later: int = 0) -> Iterator[Event]:
        """Answer a message in the place of `said`, which `later` others of the same words follow, and of all after it.

        What a workflow finished for the answer that is taken back is not done twice. Where there is no such message, it is a new one.

        Raises:
            UsageError: a message is being answered, or the text is empty.
        """
        messages = [] if self._busy.locked() else self._messages()
        place = place_of(messages, said, later) if text.strip() else None
        if place is None:
            return self.stream(text)
        left = {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), *messages[:place]]}
        self._agent.update_state(self._config, left, as_node="tools")
        self._sessions.forget(self.id, [str(each.id) for each in messages[place:]])
        return self._begin({"messages": [instead(text, messages[place:])]}, text)

    def pending(self) -> ApprovalNeeded | None:
        """The question that the conversation waits for; it survives the end of the process."""
        found = self._pending()
        return found.asked if found else None

    def decide(
        self,
        decision: Literal["approve", "change", "refuse"],
        arguments: Mapping[str, Any] | None = None,
        message: str = "",
        rest: bool = False,
    ) -> Iterator[Event]:
        """Answer the question that the conversation waits for, and go on.

        Args:
            decision: approve; change: run it with other arguments; refuse.
            arguments: those that are to be different.
            message: why it is refused; the language model reads it.
            rest: approve also the long steps that follow in this turn.

        Raises:
            UsageError: nothing waits, an earlier message is still being answered, or the tool does not take the
                arguments; the question then still waits.
        """
        waiting = None if self._busy.locked() else self._pending()
        if waiting is None:
            raise UsageError("no step waits for approval; say what you want to do")
        asked = waiting.asked
        if decision not in asked.decisions:
            raise UsageError(f"{asked.name} cannot be answered by {decision!r}; allowed: {', '.join(asked.decisions)}")
        new = changed(asked, dict(arguments or {}), self._tools[asked.name]) if decision == "change" else {}
        messages = self._messages()
        turn = messages[last_of_user(messages) :]
        resumed: Any = Command(resume=self._approvals.decided(waiting, decision, new, message))
        return self._begin(resumed, turn[0].text, turn[1:], rest)

    def interrupted(self) -> Begun | None:
        """The step that was under way when the process that took it ended, as long as it has no result."""
        if self._busy.locked():
            return None
        done = {each.tool_call_id for each in self._messages() if isinstance(each, ToolMessage)}
        return next((step for step in self._sessions.begun(self.id) if step.call not in done), None)

    def go_on(self) -> Iterator[Event]:
        """Take the interrupted step again as it was approved, without asking, and go on with the turn.

        What finished meanwhile is not done again; a job that still runs is followed, where the workflows do so.

        Raises:
            UsageError: no step was interrupted, or a message is being answered.
        """
        step = self.interrupted()
        if step is None:
            raise UsageError("no step was interrupted; say what you want to do")
        given: Any = None
        told: list[Event] = []
        if found := finished_since(step.name, step.arguments, step.time.replace(microsecond=0), self._workspace):
            self._repair()
            told = [ToolFinished(call_id=step.call, name=step.name, run_id=found[1][0], summary=step.name)]
        elif (waiting := self._pending()) and waiting.asked.call_id == step.call:
            same = step.arguments == waiting.asked.arguments
            decision: Any = "approve" if same else "change"
            given = Command(resume=self._approvals.decided(waiting, decision, step.arguments, ""))
        else:
            self._approvals.taken_up.add(step.call)
        messages = self._messages()
        turn = messages[last_of_user(messages) :]
        return chain(told, self._begin(given, turn[0].text, turn[1:]))

    def cancel(self) -> None:
        """Stop the message that is being answered: a workflow ends at its next tick. May be called from any thread."""
        self._cancelled.set()
        if progress := self._progress:
            progress.cancel()

    def history(self) -> list[tuple[str, str]]:
        """What was said so far: ("user" or "assistant", text), the oldest first."""
        return [(line.who, line.text) for line in self._sessions.lines(self.id) if line.who != "step"]

    def close(self) -> None:
        """Stop what is being answered, and let go of the history."""
        if self._worker and self._worker.is_alive():
            self.cancel()
            self._worker.join(CLOSING)
        self._checkpoints.close()
        self._sessions.close()

    def _begin(
        self, given: Any, said: str, before: list[BaseMessage] | None = None, rest: bool = False
    ) -> Iterator[Event]:
        if not self._busy.acquire(blocking=False):
            raise UsageError("the last message is still being answered; wait, or cancel it")
        self._cancelled.clear()
        self._events = queue.SimpleQueue()
        self._approvals.rest = rest or (self._approvals.rest and before is not None)
        self._worker = threading.Thread(
            target=self._answer, args=(given, said, before), name=f"chat {self.id}", daemon=True
        )
        self._worker.start()
        return self._drain(self._worker)

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

    def _answer(self, given: Any, said: str, before: list[BaseMessage] | None) -> None:
        """Runs in the thread: every way out puts an event of the end on the queue."""
        events = self._events
        turn = Turn(events, before or ())
        try:
            if before is None:
                self._repair()
            modes: Any = ["messages", "updates"]
            # "sync": what a tool finished is on disk before the next step starts
            for mode, part in self._agent.stream(given, self._config, stream_mode=modes, durability="sync"):
                if self._cancelled.is_set():
                    raise Cancelled("stopped")
                turn.take(str(mode), part)
            end: Event | BaseException = self._ended(turn, said)
        except Cancelled:
            end = stopped(turn)
        except LayerwiseError as problem:
            end = Failed(message=str(problem))
        except BaseException as problem:  # noqa: BLE001 - handed to the reader of the stream, who waits in another thread
            known = self._explain(problem) if isinstance(problem, Exception) else None
            end = Failed(message=str(known)) if known else problem
        self._progress = None
        try:
            with suppress(
                sqlite3.Error, LayerwiseError
            ):  # closed meanwhile; the next message begins with all this anyway
                if isinstance(end, Stopped):
                    self._repair()
                self._sessions.end_steps(self.id)
                self._sessions.catch_up(self.id)
                self._checkpoints.forget_older(self.id)
                if isinstance(end, Answer):
                    self._sessions.back(self.id, end.text, end.facts)
        finally:
            self._busy.release()  # before the end is told: whoever reads it may send the next message at once
            events.put(end)

    def _ended(self, turn: Turn, said: str) -> Event:
        if waiting := self._pending():
            return waiting.asked
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

    def _started(self, call: Mapping[str, Any]) -> None:
        self._sessions.begin_step(self.id, str(call["id"]), call["name"], call["args"])
        self._events.put(ToolStarted(call_id=str(call["id"]), name=call["name"], arguments=call["args"]))

    def _run(self, run_id: str) -> Run | None:
        try:
            return self._workspace.runs.get(run_id)
        except LayerwiseError:
            return None  # named in an error or deleted since: no fact

    def _new_progress(self) -> Progress:
        self._progress = QueuedProgress(self._events)
        if self._cancelled.is_set():
            self._progress.cancel()
        return self._progress

    def _state(self) -> Any:
        return self._agent.get_state(self._config)

    def _messages(self) -> list[BaseMessage]:
        return list(self._state().values.get("messages", []))

    def _pending(self) -> Pending | None:
        state = self._state()
        if not state.interrupts:
            return None
        messages = state.values.get("messages", [])
        return pending_of(state, language_of(messages[last_of_user(messages)].text if messages else ""))

    def _repair(self) -> None:
        """Answer the calls that a killed or stopped process left open, or that nobody decided on."""
        state = self._state()
        asked = [each.value for each in state.interrupts if isinstance(each.value, dict)]
        # a call that was approved and began has its interrupt still
        begun = {step.call: step.arguments for step in self._sessions.begun(self.id)}
        waiting = {value.get("tool_call_id") for value in asked} - {*begun}

        def answer(call: Mapping[str, Any]) -> ToolMessage:
            if call["id"] not in waiting:
                return self._checkpoints.result_of({**call, "args": begun.get(str(call["id"]), call["args"])}, state)
            refused = refusal(call, "something else was said instead")
            self._events.put(ToolRefused(call_id=str(call["id"]), name=call["name"], message=refused.text))
            return refused

        if whole := mended(state.values.get("messages", []), answer):
            again = {"messages": [RemoveMessage(id=REMOVE_ALL_MESSAGES), *whole]}
            self._agent.update_state(self._config, again, as_node="tools")
