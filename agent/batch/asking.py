"""A request to the agent in plain language, without anybody there to answer its questions."""

import threading
from typing import Any, Literal

from agent.chat import ChatSession
from agent.events import (
    Answer,
    ApprovalNeeded,
    Event,
    Failed,
    Stopped,
    ToolFailed,
    ToolFinished,
    ToolNote,
    ToolProgress,
    ToolRefused,
    ToolStarted,
)
from agent.llm import choose
from agent.settings import Settings
from analyzers.errors import Cancelled, LayerwiseError
from analyzers.progress import Progress
from tools.catalog import WORKFLOWS
from tools.workspace import Workspace


def asked(
    text: str,
    llm: str,
    settings: Settings,
    workspace: Workspace,
    workflows: Any,
    approve: Literal["all", "none"],
    progress: Progress,
    stop: threading.Event,
) -> tuple[str, str | None]:
    """The answer, and the last run that was made for it.

    Args:
        text: what is asked.
        llm: auto, offline, ollama:MODEL or openai:MODEL.
        settings: of the language model.
        workspace: where its tools read and write.
        workflows: what does the work.
        approve: whether steps that take long or delete are approved or refused.
        progress: told of steps and notes.
        stop: set when the time is up.

    Raises:
        LanguageModelError: the language model cannot be used.
        LayerwiseError: it gave no answer, or its last step failed or was refused.
        Cancelled: `stop` was set.
    """
    talk = ChatSession(
        choose(llm, settings), workspace, workflows=workflows, approve=approve, ask_above=settings.ask_above
    )
    heard = _Heard(progress)
    try:
        for event in talk.stream(text):
            if stop.is_set():
                talk.cancel()
            heard.take(event)
    finally:
        heard.close()
        talk.close()
    match heard.end:
        case Answer() if heard.problem:
            raise LayerwiseError(heard.problem)
        case Answer():
            return heard.end.text, heard.made
        case Stopped():
            raise Cancelled(heard.end.message)
        case ApprovalNeeded():
            raise LayerwiseError(f"{heard.end.name} waits for approval; begin the batch with --approve all")
        case Failed():
            raise LayerwiseError(heard.end.message)
    raise LayerwiseError("there was no answer")


class _Heard:
    """What the events of one answer come to."""

    def __init__(self, progress: Progress) -> None:
        self.end: Event | None = None
        self.made: str | None = None  # the last run
        self.problem = ""  # of the last step; a model may try again after a failure
        self._progress = progress
        self._open: dict[str, int] = {}
        self._names: dict[str, str] = {}

    def take(self, event: Event) -> None:
        match event:
            case ToolStarted(call_id=call_id, name=name):
                self._names[call_id] = name
                self._progress.say(f"  {name}")
            case ToolProgress(step=step, done=done, total=total):
                if step not in self._open:
                    self._open[step] = total
                    self._progress.started(step, total)
                self._progress.advanced(step, done, total)
            case ToolNote(text=text):
                self._progress.say(f"  {text}")
            case ToolFinished(call_id=call_id, name=name, run_id=run_id):
                self.close()
                self.problem = ""
                if name in WORKFLOWS and run_id:
                    self.made = run_id
            case ToolFailed(name=name, message=message):
                self.close()
                self.problem = f"{name} failed: {message}"
            case ToolRefused(name=name):
                self.problem = (
                    f"{name} takes long or deletes, and that is not approved; begin the batch with --approve all"
                )
        self.end = event

    def close(self) -> None:
        for step in self._open:
            self._progress.finished(step)
        self._open.clear()
