"""The process of a job: `python -m tools.jobs.worker HOME` takes the next job of the queue and does it.

It does so in a child, the worker, which loads the libraries, and leads a group and a session of its own. The parent, the
supervisor, loads nothing: it waits, measures, and says how a worker ended that could not say it itself. Either may be
killed: the worker then writes its end alone, or the next look at the list finds that nobody is there any more.
"""

import os
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType

from analyzers.errors import Cancelled, LayerwiseError
from analyzers.records import Run
from tools.failures import told, unexpected
from tools.jobs import memory, processes
from tools.jobs.ending import STOPPED, end, killed, settle_jobs, start_next, workspace_of
from tools.jobs.progress import JobProgress
from tools.jobs.records import RESUMABLE, Job, Process, Status
from tools.jobs.store import JobStore

INSIST = 0.6  # seconds after which a worker that was asked to end does not wait for its next tick
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def main(home: Path) -> None:
    store = JobStore(home)
    me = processes.identity(os.getpid())
    settle_jobs(store)  # those that are dead take no place
    job = store.claim(me, memory.refusal) if me else None
    if job is None or me is None:
        return
    _log_to(job.log)
    kills = memory.kills()
    # Nothing is loaded and no thread runs yet: a fork is safe here, and spares the start of a second interpreter.
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = _work(store, job, me)
        finally:
            sys.stderr.flush()
            os._exit(code)  # without waiting for threads that a library left
    _, state, usage = os.wait4(pid, 0)
    try:
        killed(store, job, os.waitstatus_to_exitcode(state), _peak_mb(usage.ru_maxrss), kills)
    finally:
        start_next(store)


def _log_to(path: Path) -> None:
    with path.open("ab") as log:
        for descriptor in (1, 2):
            os.dup2(log.fileno(), descriptor)


def _peak_mb(most: int) -> float:
    return round(most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6, 1)


def _work(store: JobStore, job: Job, supervisor: Process) -> int:
    os.setsid()
    progress = JobProgress(lambda **fields: store.change(job.id, ("running",), job.attempt, **fields))
    _end_when_asked(progress)
    worker = processes.identity(os.getpid())
    mine = store.change(job.id, ("running",), job.attempt, worker=worker)
    if mine is None:
        return 1  # cancelled, or found without a worker, before this one could say that it is there
    if mine.cancelling:
        progress.cancel()
    try:
        try:
            run = _run(store, job, progress)
        finally:
            for number in (signal.SIGALRM, signal.SIGTERM):  # what is left is to write how it ended
                signal.signal(number, signal.SIG_IGN)
        code = {"done": 0, "cancelled": 3}.get(run.status, 1)
        end(store, job, run.status if run.status != "running" else "failed", run.error, run=run.id)
    except BaseException as problem:  # noqa: BLE001 (whatever it is, it is the end of the job)
        name, message, code = told(problem)
        status: Status = "failed"
        if not message:
            traceback.print_exception(problem)
            message = unexpected(problem)
        if code == Cancelled.exit_code:
            status, message = "cancelled", STOPPED
        with suppress(OSError):  # a full disk
            print(f"error: {message}", file=sys.stderr, flush=True)
        end(store, job, status, message, name)
    if os.getppid() != supervisor.pid:  # nobody else would start the next
        start_next(store)
    return code


def _run(store: JobStore, job: Job, progress: JobProgress) -> Run:
    progress.check()
    os.chdir(job.folder)
    if job.threads:
        os.environ.update(dict.fromkeys(THREADS, str(job.threads)))

    def began(run: Run) -> None:
        with suppress(LayerwiseError):  # a full disk: the run is found by its lock
            store.change(job.id, ("running",), job.attempt, run=run.id)

    workspace = workspace_of(store, job).model_copy(update={"began": began})
    from tools import workflows

    extra = {"resume": job.resume} if job.workflow in RESUMABLE else {}
    found: Run = getattr(workflows, job.workflow)(job.request, workspace, progress, **extra)
    return found


def _end_when_asked(progress: JobProgress) -> None:
    """SIGTERM stops the workflow at its next tick; if that does not come soon, as Ctrl-C would. The canceller kills."""

    def asked(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        progress.cancel()
        signal.setitimer(signal.ITIMER_REAL, INSIST)

    signal.signal(signal.SIGTERM, asked)
    signal.signal(signal.SIGALRM, signal.default_int_handler)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
