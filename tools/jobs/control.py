"""What can be done with jobs from Python; the command line and the chat call the same."""

import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from analyzers.errors import NotEnoughMemory, StorageError, UsageError
from analyzers.progress import Progress
from analyzers.records import Request, now
from analyzers.run_ids import new_id
from tools.engines import check_engine
from tools.jobs import memory, processes
from tools.jobs.ending import GONE, STOPPED, end, settle_jobs, start_next
from tools.jobs.progress import Shown
from tools.jobs.records import RESUMABLE, Job
from tools.jobs.store import JobStore
from tools.recording import settle_all
from tools.workspace import Workspace

POLL = 0.2  # seconds between two looks of who follows a job
NUDGE = 2.0  # seconds between two looks whether anybody is there to start what waits
REGISTERED = 1.0  # seconds that a worker which was just started gets to say that it is there
WRITTEN = 0.5  # seconds that one gets that has ended to write how


def submit(request: Request, workspace: Workspace, *, resume: bool = False) -> Job:
    """Put a workflow into the queue, and start it if a worker is free. Returns at once.

    Args:
        request: what the workflow is asked to do; paths in it are relative to the folder of this process.
        workspace: where the run is kept; says how many jobs run at once and how many threads each takes.
        resume: take up the newest unfinished run of the same request (train and compress; the others do so anyway).

    Raises:
        NotEnoughMemory: it would not fit.
        StorageError: the disk is full or not writable.
    """
    store = JobStore(workspace.home)
    _look(store)
    job_id = new_id("job")
    job = Job(
        id=job_id,
        workflow=request.verb,
        request=request,
        command=request.command(),
        resume=resume and request.verb in RESUMABLE,
        created=now(),
        folder=Path.cwd(),
        cache=workspace.cache.absolute(),
        device=workspace.device,
        threads=_threads(workspace),
        workers=workspace.workers,
        engine=check_engine(workspace.engine),
        needs_mb=memory.expected_mb(request, workspace, store.list(limit=50)),
        log=store.log(job_id).absolute(),
    )
    _check_memory(job, store)
    store.add(job)
    start_next(store)
    return job


def listed(workspace: Workspace, limit: int | None = None) -> list[Job]:
    """The newest jobs. Those that died are found now, and what waits is started.

    Raises:
        StorageError: the list cannot be read.
    """
    look(workspace)
    return [_seen(job) for job in JobStore(workspace.home).list(limit=limit)]


def show(job_id: str, workspace: Workspace) -> Job:
    """One job, as it is now.

    Raises:
        UnknownJob: there is none of that id.
    """
    look(workspace)
    return _seen(JobStore(workspace.home).get(job_id))


def under_way(request: Request, since: datetime, workspace: Workspace) -> Job | None:
    """The job of this request that was submitted since then and is not over."""
    return next(
        (job for job in listed(workspace) if not job.over and job.request == request and job.created >= since), None
    )


def follow(job_id: str, workspace: Workspace, progress: Progress) -> Job:
    """Wait for the end of a job, and tell what it tells. Whoever stops following does not stop the job.

    Raises:
        UnknownJob: there is none of that id.
        Cancelled: `progress` was cancelled; the job goes on.
    """
    store, shown = JobStore(workspace.home), Shown(progress)
    looked = waiting = 0.0
    while True:
        job = _seen(store.get(job_id))
        shown.show(job)
        if job.over:
            return job
        if job.status == "queued" and not waiting:
            waiting = time.monotonic()
        elif job.status == "queued" and waiting > 0 and time.monotonic() - waiting > NUDGE:
            before = len(store.list("running"))
            progress.say(f"{job_id} waits for a free worker: {before} of {job.workers} at work")
            waiting = -1.0  # once is enough
        progress.check()
        if time.monotonic() - looked > NUDGE:
            looked = time.monotonic()
            look(workspace)
        time.sleep(POLL)


def cancel(job_id: str, workspace: Workspace) -> Job:
    """End a job and everything that it started, within two seconds. What was finished is kept.

    Raises:
        UnknownJob: there is none of that id.
        UsageError: it has ended already.
        StorageError: the disk is full or not writable.
    """
    store = JobStore(workspace.home)
    job = store.get(job_id)
    if not job.over:
        stopped: dict[str, Any] = {"status": "cancelled", "ended": now(), "error": STOPPED, "error_type": "Cancelled"}
        if store.change(job_id, ("queued",), **stopped) or not store.change(job_id, ("running",), cancelling=True):
            return store.get(job_id)
        _stop(store, job_id)
        return store.get(job_id)
    raise UsageError(f"{job_id} is {job.status} already; there is nothing to cancel")


def resume(job_id: str, workspace: Workspace) -> Job:
    """Put a job that was stopped, failed or died into the queue again; it goes on with what was finished.

    Raises:
        UnknownJob: there is none of that id.
        UsageError: it is done, or waits or runs.
        NotEnoughMemory: it would not fit.
    """
    job = show(job_id, workspace)
    if job.status == "done":
        raise UsageError(f"{job_id} is done; there is nothing to resume: see layerwise runs show {job.run}")
    if not job.over:
        raise UsageError(f"{job_id} is {job.status}; to see how far it is: layerwise jobs follow {job_id}")
    store = JobStore(workspace.home)
    _check_memory(job, store)
    fresh: dict[str, Any] = {
        "started": None,
        "ended": None,
        "error": None,
        "error_type": None,
        "progress": None,
        "messages": (),
    }
    processes_gone = {"supervisor": None, "worker": None, "cancelling": False}
    again = store.change(
        job_id,
        ("failed", "cancelled", "orphaned"),
        status="queued",
        resume=job.workflow in RESUMABLE,
        **fresh,
        **processes_gone,
    )
    start_next(store)
    return again or store.get(job_id)


def look(workspace: Workspace) -> None:
    """Find what died, of the jobs and of all other runs, and start what waits. Every way to the list does so first."""
    with suppress(StorageError):  # a home that is full or closed can still be read
        _look(JobStore(workspace.home))
    settle_all(workspace)


def _look(store: JobStore) -> None:
    settle_jobs(store)
    start_next(store)


def _seen(job: Job) -> Job:
    """Where nothing can be written, a job that died is still never shown as running."""
    dead = job.status == "running" and not processes.alive(job.worker) and not processes.alive(job.supervisor)
    return job.model_copy(update={"status": "orphaned", "error": GONE}) if dead else job


def _threads(workspace: Workspace) -> int | None:
    """Jobs that run at once share the cores; one alone takes what torch takes."""
    if workspace.threads or workspace.workers == 1:
        return workspace.threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // workspace.workers)


def _check_memory(job: Job, store: JobStore) -> None:
    """Raise for what never fits, and for what does not fit now where nothing else is to end before it."""
    if job.needs_mb is None:
        return
    total = memory.total_mb()
    if job.needs_mb > total:
        raise NotEnoughMemory(memory.too_large(job.command, job.needs_mb, total, "all there are"))
    if not store.list("queued", "running") and (why := memory.refusal(job, [])):
        raise NotEnoughMemory(why)


def _stop(store: JobStore, job_id: str) -> None:
    limit = time.monotonic() + REGISTERED
    job = store.get(job_id)
    while job.status == "running" and job.worker is None and time.monotonic() < limit:
        time.sleep(processes.LOOK)
        job = store.get(job_id)
    if job.worker and not job.over:
        processes.stop(job.worker)
    limit = time.monotonic() + WRITTEN
    while not job.over and processes.alive(job.supervisor) and time.monotonic() < limit:
        time.sleep(processes.LOOK)
        job = store.get(job_id)
    if not job.over:
        end(store, job, "cancelled", STOPPED, "Cancelled")
