"""`tools.workflows` with each workflow in a process of its own: stands for that module where a chat or a page is not to wait."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from analyzers import errors
from analyzers.errors import Cancelled, LayerwiseError, UsageError
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Request, Run, TrainRequest
from analyzers.requests import ExportRequest
from tools.jobs.control import cancel, follow, look, show, submit
from tools.jobs.records import Job
from tools.workspace import Workspace


class JobWorkflows:
    """The same functions as in `tools.workflows`. Each submits a job and follows it; to cancel its progress cancels the job.

    Whoever calls may die: the job goes on.

    Args:
        workspace: jobs that died there are found at once.
        allowed: raises for a request that whoever calls may not make; None: all may be made.
    """

    def __init__(self, workspace: Workspace, allowed: Callable[[Request], None] | None = None) -> None:
        look(workspace)
        self._allowed = allowed
        self._under_way: str | None = None

    def take_up(self, job_id: str) -> None:
        """Let the next call follow this job, if it asks for the same, and not start another: its caller died, it did not."""
        self._under_way = job_id

    def train(self, request: TrainRequest, workspace: Workspace, progress: Progress, *, resume: bool = False) -> Run:
        return self._done(request, workspace, progress, resume)

    def analyze(self, request: AnalyzeRequest, workspace: Workspace, progress: Progress) -> Run:
        return self._done(request, workspace, progress)

    def plan(self, request: PlanRequest, workspace: Workspace, progress: Progress) -> Run:
        return self._done(request, workspace, progress)

    def compress(
        self, request: CompressRequest, workspace: Workspace, progress: Progress, *, resume: bool = False
    ) -> Run:
        return self._done(request, workspace, progress, resume)

    def evaluate(self, request: EvaluateRequest, workspace: Workspace, progress: Progress) -> Run:
        return self._done(request, workspace, progress)

    def export(self, request: ExportRequest, workspace: Workspace, progress: Progress) -> Run:
        return self._done(request, workspace, progress)

    def report(self, runs: list[str], out: Path, workspace: Workspace, **options: Any) -> Any:
        """Takes no minutes: it is written here."""
        from tools.report import report

        return report(runs, out, workspace, **options)

    def _done(self, request: Request, workspace: Workspace, progress: Progress, resume: bool = False) -> Run:
        """The run of a job that was done.

        Raises:
            LayerwiseError: the error that ended it, of its own class; Cancelled if it was cancelled, here or elsewhere.
        """
        progress.check()
        if self._allowed:
            self._allowed(request)
        job = self._started(request, workspace) or submit(request, workspace, resume=resume)
        try:
            job = follow(job.id, workspace, progress)
        except Cancelled:
            with suppress(UsageError):  # it has just ended by itself
                cancel(job.id, workspace)
            job = show(job.id, workspace)
        if job.status == "done" and job.run:
            return workspace.runs.get(job.run)
        kind = getattr(errors, job.error_type or "", LayerwiseError)
        raise kind(job.error or f"{job.id} is {job.status}; see: layerwise jobs show {job.id}")

    def _started(self, request: Request, workspace: Workspace) -> Job | None:
        """The job that `take_up` named, if it is one of this request and not over."""
        job_id, self._under_way = self._under_way, None
        job = show(job_id, workspace) if job_id else None
        return job if job and not job.over and job.request == request else None
