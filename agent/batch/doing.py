"""One task done: a workflow (or its run of earlier), a request to the agent, opinions, or a report."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agent.batch.expansion import Task
from agent.batch.outcomes import Result
from agent.batch.verbs import AskRequest, OpinionRequest, ReportRequest, build, write_scratch
from agent.settings import Settings
from agent.summaries import gist
from analyzers.errors import Cancelled, LayerwiseError
from analyzers.progress import Progress
from analyzers.records import AnalysisResult, Request, Run
from analyzers.requests import KINDS
from tools.recording import unfinished
from tools.unchanged import Present
from tools.wording import duration, significant, title
from tools.workspace import Workspace

RESUMABLE = ("train", "compress")  # the others take up their pieces by themselves


@dataclass(frozen=True)
class Options:
    """What the command line decides, not the script."""

    fresh: bool = False  # nothing is taken from history
    approve: Literal["all", "none"] = "none"  # long or deleting steps of the agent
    processes: bool = False  # each workflow in a process of its own


class Doing:
    """Does tasks, one after the other.

    Args:
        workspace: where runs are kept.
        settings: of the language models.
        options: of the command line.
        progress: makes the progress of a step.
        say: told what a person should know.
    """

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        options: Options,
        progress: Callable[[], Progress],
        say: Callable[[str], None],
    ) -> None:
        self._workspace = workspace
        self._settings = settings
        self._options = options
        self._progress = progress
        self._say = say
        self._present = Present(workspace, progress())
        self._workflows = self._chosen_workflows()

    def request(self, task: Task, runs: Mapping[str, str]) -> Any:
        """The request of a task whose sources are there."""
        return build(task.step.verb, task.fields(runs), self._workspace.home)

    def do(self, task: Task, request: Any) -> Result:
        """Do a task, within its time.

        Raises:
            LayerwiseError: it failed, or its time was up.
            Cancelled, KeyboardInterrupt: the user stopped it.
        """
        match request:
            case Request():
                write_scratch(task.given, self._workspace.home)
                return self._workflow(task, request)
            case AskRequest():
                return self._ask(task, request)
            case OpinionRequest():
                return self._opinion(request)
            case ReportRequest():
                from agent.narratives import narrator

                path = self._workflows.report(
                    list(request.runs),
                    Path(request.out).expanduser(),
                    self._workspace,
                    language=request.language,
                    compare=request.compare,
                    narrator=narrator(self._workspace.runs, self._settings, request.llm, request.compare),
                )
                return Result(path=str(path), gist=f"wrote {path}")
        raise TypeError(request)

    def result_of(self, run: Run, *, reused: bool = False, answer: str | None = None) -> Result:
        """What is told of a run."""
        measurements = tuple(run.measurements)
        return Result(run=run.id, reused=reused, gist=in_short(run), measurements=measurements, answer=answer)

    def earlier(self, task: Task, request: Request, say: bool = True) -> Run | None:
        """The newest finished run of this very request, if all that it was made from is as it was."""
        if self._options.fresh or task.step.fresh:
            return None
        kind = KINDS[request.verb]
        found = self._workspace.runs.list(kind=kind, command=request.command(), status="done", limit=1)
        if not found:
            return None
        changes = self._present.changes(found[0])
        why = [*changes.inputs, *changes.unknown, *changes.surroundings, *(f"{each} is damaged or gone" for each in changes.lost)]  # fmt: skip
        if why and say:
            self._say(f"  {found[0].id} is not taken again: {'; '.join(why)}")
        return None if why else found[0]

    def _workflow(self, task: Task, request: Request) -> Result:
        if found := self.earlier(task, request):
            return self.result_of(found, reused=True)
        progress = self._progress()
        extra: dict[str, Any] = {}
        kind: Any = KINDS[request.verb]
        anew = self._options.fresh or task.step.fresh
        if request.verb in RESUMABLE and not anew and unfinished(kind, request, self._workspace):
            self._say("  taking up what was stopped")
            extra["resume"] = True
        with _limited(task.step.time_limit, progress.cancel), self._stoppable(progress.cancel):
            run: Run = getattr(self._workflows, request.verb)(request, self._workspace, progress, **extra)
        return self.result_of(run)

    def _ask(self, task: Task, request: AskRequest) -> Result:
        from agent.batch.asking import asked

        with _limited(task.step.time_limit, lambda: None) as stop:
            answer, run_id = asked(
                request.text,
                request.llm or self._settings.llm,
                self._settings,
                self._workspace,
                self._workflows,
                self._options.approve,
                self._progress(),
                stop,
            )
        if run_id:
            return self.result_of(self._workspace.runs.get(run_id), answer=answer)
        return Result(answer=answer, gist=answer.splitlines()[0] if answer else "")

    def _opinion(self, request: OpinionRequest) -> Result:
        from agent.opinions import opinions, side_by_side

        found = opinions(request.run, request.llms, self._settings, self._workspace.runs)
        if all(each.problem for each in found.opinions):
            raise LayerwiseError("; ".join(each.problem for each in found.opinions))
        given = sum(not each.problem for each in found.opinions)
        return Result(answer=side_by_side(found), gist=f"{given} of {len(found.opinions)} models gave an opinion")

    @contextmanager
    def _stoppable(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Ctrl-C ends the process of a workflow too, which would go on without the batch."""
        if not self._options.processes or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, lambda *_: cancel()) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _chosen_workflows(self) -> Any:
        if self._options.processes:
            from tools.jobs import JobWorkflows

            return JobWorkflows(self._workspace)
        from tools import workflows

        return workflows


def in_short(run: Run) -> str:
    """The result in a few words, with the latency, the epochs of a training, and the method that measured best."""
    parts = [gist(run)]
    if isinstance(run.result, AnalysisResult) and run.result.believe:
        best = run.result.fidelity[run.result.believe]
        parts.append(f"best fidelity: {title(run.result.believe)} {significant(best.value)}")
    if run.kind == "train" and (best_epoch := getattr(run.result, "best_epoch", None)) is not None:
        parts.append(f"best epoch {best_epoch} of {len(getattr(run.result, 'epochs', ()))}")
    for subject in ("quantized", "healed", "compressed", "model"):
        if latency := run.measured("latency_ms", subject):
            parts.append(f"{significant(latency.value)} ms")
            break
    return ", ".join(part for part in parts if part)


@contextmanager
def _limited(seconds: float | None, cancel: Callable[[], None]) -> Iterator[threading.Event]:
    """Stop what is inside when the time is up, and say that it was the time."""
    over = threading.Event()

    def up() -> None:
        over.set()
        cancel()

    timer = threading.Timer(seconds or 0.0, up)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    try:
        yield over
    except Cancelled:
        if not over.is_set():
            raise
        raise LayerwiseError(
            f"its time limit of {duration(seconds or 0.0)} was up; what was finished is kept, and the same script goes on with it"
        ) from None
    finally:
        timer.cancel()
