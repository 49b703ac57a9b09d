"""Chat in a terminal: answers on standard output, steps and progress on standard error."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from agent.approvals import Mode
from agent.chat import ChatSession
from agent.events import (
    Answer,
    ApprovalNeeded,
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
from agent.llm import choose
from agent.planner.reading import Language, language_of
from agent.quiet import output_kept_for_results
from agent.settings import Settings
from agent.terminal import TerminalProgress
from analyzers.errors import Cancelled, UsageError
from tools.catalog import request_of
from tools.jobs import JobWorkflows, under_way
from tools.workspace import Workspace

DONE, FAILED, CANCELLED = 0, 1, Cancelled.exit_code
LEAVE = {"exit", "quit", "bye", ":q", "退出", "再见"}


def chat(
    settings: Settings,
    workspace: Workspace,
    llm: str,
    session: str | None,
    once: str | None,
    as_json: bool,
    approve: Mode = "ask",
    processes: bool = False,
) -> int:
    """Talk until the end of the input, or answer one message.

    Args:
        settings: of the language model.
        workspace: where runs and conversations are kept.
        llm: auto, offline, ollama:MODEL or openai:MODEL.
        session: id of a conversation to begin or continue; None begins a new one.
        once: the only message; None reads messages from standard input.
        as_json: print one JSON document; needs `once`.
        approve: ask before steps that take long or delete, approve all of them, or none.
        processes: each workflow is a job, which goes on when this process ends.

    Returns:
        The exit code: 0 answered, 1 a step failed, was refused or, with `once`, waits for approval; 3 stopped by the user.

    Raises:
        LanguageModelError: the language model cannot be used.
        UsageError: the session's name is not allowed, or `as_json` without `once`.
    """
    if as_json and once is None:
        raise UsageError("--json prints one document, so it needs one message: --once TEXT")
    chosen = choose(llm, settings)
    with _output() as out:
        jobs = JobWorkflows(workspace) if processes else None
        talk = ChatSession(chosen, workspace, session, jobs, approve, settings.ask_above)
        try:
            if jobs:
                _take_up(talk, jobs, workspace)
            _say(f"language model: {chosen.why}")
            if once is not None:
                return _Turn(talk, out).answer(once, as_json, told_how=True)
            return _converse(talk, out)
        finally:
            talk.close()


def _take_up(talk: ChatSession, jobs: JobWorkflows, workspace: Workspace) -> None:
    """Let the step that the last process left follow its job, if that still runs."""
    step = talk.interrupted()
    request = request_of(step.name, step.arguments) if step else None
    if step and request and (job := under_way(request, step.time, workspace)):
        jobs.take_up(job.id)
        _say(f'{job.id} is still at work on what was asked; say "continue" to follow it')


def _converse(talk: ChatSession, out: TextIO) -> int:
    _say(f"session {talk.id}; end with Ctrl-D")
    if waiting := talk.pending():
        out.write(f"{waiting.text}\n")
        out.flush()
    while True:
        try:
            text = input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            _say(f"\ngoodbye; go on with: layerwise chat --session {talk.id}")
            return DONE
        except KeyboardInterrupt:
            _say(f"\nstopped; go on with: layerwise chat --session {talk.id}")
            return CANCELLED
        if text.lower() in LEAVE:
            _say(f"goodbye; go on with: layerwise chat --session {talk.id}")
            return DONE
        if text:
            _Turn(talk, out).answer(text, as_json=False)


class _Turn:
    """Shows the events of one message."""

    def __init__(self, talk: ChatSession, out: TextIO) -> None:
        self._talk = talk
        self._out = out
        self._progress = TerminalProgress()
        self._language: Language = "en"  # of the message
        self._open: dict[str, int] = {}  # steps under way -> their total
        self._tools: dict[str, dict[str, Any]] = {}
        self._streamed = False

    def answer(self, text: str, as_json: bool, told_how: bool = False) -> int:
        """Show one message being answered; `told_how`: say how a step is approved that waits when the process ends."""
        self._language = language_of(text)
        end: Event | None = None
        with _interruptible(self._talk.cancel), output_kept_for_results():
            for event in self._talk.stream(text):
                self._show(event, quiet=as_json)
                end = event
        self._close_steps()
        if told_how and isinstance(end, ApprovalNeeded):
            _say(self._waits(end))
        if as_json:
            self._print(json.dumps(self._document(end), ensure_ascii=False, indent=1) + "\n")
        return self._code(end)

    def _show(self, event: Event, quiet: bool) -> None:
        match event:
            case Text(text=text) if not quiet:
                self._print(text)
                self._streamed = True
            case ToolStarted(call_id=call_id, name=name, arguments=arguments):
                self._tools[call_id] = {"name": name, "arguments": arguments, "status": "running", "run_id": None}
                self._end_line()
                _say(f"• {name} {' '.join(f'{key}={value}' for key, value in arguments.items())}".rstrip())
            case ToolProgress(step=step, done=done, total=total):
                self._tick(step, done, total)
            case ToolNote(text=note):
                self._progress.say(f"  {note}")
            case ToolFinished(call_id=call_id, run_id=run_id):
                self._close_steps()
                self._tools[call_id].update(status="done", run_id=run_id)
                _say(f"  done{f': {run_id}' if run_id else ''}")
            case ToolFailed(call_id=call_id, message=message):
                self._close_steps()
                self._tools.setdefault(call_id, {"name": event.name, "arguments": {}, "run_id": None})
                self._tools[call_id]["status"] = "failed"
                _say(f"  failed: {message}")
            case ToolRefused(call_id=call_id, name=name):
                self._tools.setdefault(call_id, {"name": name, "arguments": {}, "run_id": None})
                self._tools[call_id]["status"] = "refused"
                _say(f"  not run: {name}")
            case ApprovalNeeded(text=question) if not quiet:
                self._end_line()
                self._print(f"{question}\n")
            case Withdrawn(unsupported=unsupported):
                self._end_line()
                _say(f"withdrawn, no measurement backs it: {'; '.join(unsupported)}")
            case Answer() if not quiet:
                if not self._streamed:
                    self._print(event.text)
                self._print("\n")
                if not event.grounded:
                    _say(f"careful, not backed by a measurement: {'; '.join(event.unsupported)}")
            case Failed(message=message) | Stopped(message=message):
                self._end_line()
                self._close_steps()
                _say(message)

    def _tick(self, step: str, done: int, total: int) -> None:
        if step not in self._open:
            self._open[step] = total
            self._progress.started(step, total)
        if done:
            self._progress.advanced(step, done, total)
        if done >= total:
            del self._open[step]
            self._progress.finished(step)

    def _close_steps(self) -> None:
        for step in list(self._open):
            del self._open[step]
            self._progress.finished(step)

    def _end_line(self) -> None:
        if self._streamed:
            self._print("\n")
            self._streamed = False

    def _document(self, end: Event | None) -> dict[str, Any]:
        answer = end if isinstance(end, Answer) else None
        for tool in self._tools.values():
            tool["status"] = "cancelled" if tool["status"] == "running" else tool["status"]
        return {
            "session": self._talk.id,
            "llm": self._talk.llm.name,
            "answer": answer.text if answer else None,
            "run_ids": list(end.run_ids) if isinstance(end, Answer | Stopped) else [],
            "tools": list(self._tools.values()),
            "grounded": answer.grounded if answer else None,
            "facts": [each.model_dump() for each in answer.facts] if answer else [],
            "approval": end.model_dump(mode="json") if isinstance(end, ApprovalNeeded) else None,
            "error": None if answer else self._error(end),
        }

    def _error(self, end: Event | None) -> str:
        return self._waits(end) if isinstance(end, ApprovalNeeded) else getattr(end, "message", "no answer")

    def _waits(self, end: ApprovalNeeded) -> str:
        from agent.planner.answers import render

        return render(self._language, "waits", tool=end.name, session=self._talk.id).replace("`", "")

    def _code(self, end: Event | None) -> int:
        if isinstance(end, Stopped):
            return CANCELLED
        # a model may try again after a failure: the last step counts
        failed = bool(self._tools) and list(self._tools.values())[-1]["status"] in ("failed", "refused")
        return DONE if isinstance(end, Answer) and not failed else FAILED

    def _print(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _output() -> Iterator[TextIO]:
    """The standard output of the process, kept apart from `sys.stdout`, which libraries may write to."""
    sys.stdout.flush()
    try:
        copy = os.dup(sys.stdout.fileno())
    except (OSError, ValueError):  # replaced by a test or an embedding program
        yield sys.stdout
        return
    with os.fdopen(copy, "w", encoding="utf-8", errors="replace") as out:
        yield out


@contextmanager
def _interruptible(cancel: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C once: stop at the next tick. Twice: leave at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = 0

    def handle(*_: object) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            _say("left; what was finished is kept: list it with: layerwise runs list")
            # the workflow's thread may be in a long step, and the interpreter would wait for it
            os._exit(CANCELLED)
        _say("\nstopping at the next tick; press Ctrl-C again to leave at once")
        cancel()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
