"""How jobs end, whoever finds out: the record of the run first, then the list, then the next job starts."""

import signal

from analyzers.errors import StorageError
from analyzers.records import Run, now
from tools.jobs import memory, processes
from tools.jobs.records import ENDED, Job, Status
from tools.jobs.store import JobStore
from tools.recording import settle
from tools.workspace import Workspace

STOPPED = "stopped by the user"
GONE = "its processes are gone: they were killed, or the machine stopped"


def workspace_of(store: JobStore, job: Job) -> Workspace:
    return Workspace(
        home=store.home,
        cache=job.cache,
        device=job.device,
        threads=job.threads,
        workers=job.workers,
        engine=job.engine,
    )


def end(
    store: JobStore, job: Job, status: Status, error: str | None = None, name: str | None = None, run: str | None = None
) -> Job | None:
    """Write how a running job ended. A job whose run is whole is done, whatever became of its process.

    Returns:
        The job; None if this attempt at it does not run any more.

    Raises:
        StorageError: the disk is full or not writable.
    """
    current = store.get(job.id)
    if current.status != "running" or current.attempt != job.attempt:
        return None
    run = run or current.run
    settled = _settled(store, job, run, status, error) if run and status != "done" else None
    if settled and settled.status == "done":
        status, error, name = "done", None, None
    fields = {"status": status, "ended": now(), "error": error, "error_type": name, "run": run}
    return store.change(job.id, ("running",), job.attempt, **fields, worker=None, supervisor=None)


def killed(store: JobStore, job: Job, code: int, peak_mb: float, kills: int | None) -> None:
    """What the supervisor says when the worker has gone.

    Args:
        store: has the job.
        job: as it was when it started.
        code: of the exit; negative: the signal.
        peak_mb: most memory that the worker held.
        kills: processes that the system had killed for memory before the job started.
    """
    peak_mb = max(peak_mb, store.get(job.id).peak_memory_mb or 0.0)
    after = store.change(job.id, ("running", *ENDED), job.attempt, peak_memory_mb=peak_mb)
    if after is None or after.over:
        return
    if after.cancelling:
        end(store, job, "cancelled", STOPPED, "Cancelled")
        return
    name, error = _how(code, peak_mb, kills, job.id)
    end(store, job, "failed", error, name)


def settle_jobs(store: JobStore) -> None:
    """Find the jobs that say "running" and have no process any more."""
    for job in store.list("running"):
        if processes.alive(job.worker) or processes.alive(job.supervisor):
            continue
        if job.cancelling:
            end(store, job, "cancelled", STOPPED, "Cancelled")
        else:
            end(store, job, "orphaned", f"{GONE}; go on with: layerwise jobs resume {job.id}", "Orphaned")


def start_next(store: JobStore) -> None:
    """Start a process for the first of the queue, if it may run; the process itself makes sure of that once more."""
    waiting = store.list("queued")
    if waiting and len(store.list("running")) < waiting[-1].workers:
        processes.start(store.home)


def _settled(store: JobStore, job: Job, run: str, status: Status, error: str | None) -> Run | None:
    try:
        return settle(
            run,
            workspace_of(store, job),
            "cancelled" if status == "cancelled" else "failed",
            error or "it ended without a word",
        )
    except StorageError:  # a full disk: the record stays as it is, and `settle_all` comes by again
        return None


def _how(code: int, peak_mb: float, kills: int | None, job_id: str) -> tuple[str, str]:
    """Name and message for a worker that ended without a word."""
    again = f"layerwise jobs resume {job_id}"
    if code == -signal.SIGKILL:
        held = f"it held {peak_mb:,.0f} MB of {memory.total_mb():,.0f} MB at its peak"
        smaller = f"with a smaller --batch-size or --max-tokens, or end what else runs and go on with: {again}"
        after = memory.kills()
        if kills is not None and after is not None and after > kills:
            return "OutOfMemory", f"the system killed it because memory ran out: {held}; start it anew {smaller}"
        return "Killed", f"it was killed from outside (signal 9): {held}; if memory was short, start it anew {smaller}"
    if code < 0:
        try:
            what = signal.Signals(-code).name
        except ValueError:
            what = "?"
        return (
            "Killed",
            f"it was ended by signal {-code} ({what}); its log says more: layerwise jobs show {job_id}; go on with: {again}",
        )
    return (
        "Failed",
        f"its process ended with exit code {code} and without a word; its log says more: layerwise jobs show {job_id}",
    )
