"""Around the work of a workflow: the record of its run, from the start to whatever end it takes."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from analyzers.errors import Cancelled, DamagedRecord, LayerwiseError, StorageError, UsageError
from analyzers.footprint import memory_peak
from analyzers.records import Artifact, Kind, Measurement, Record, Request, Run, Split, Status, now
from analyzers.run_ids import new_run_id
from analyzers.storage import storage_errors
from knowledge import labels
from tools.estimates import forecast
from tools.machine import environment
from tools.workspace import Workspace

PATIENCE = 0.5  # seconds: `settle` holds a lock for a moment
LEFT = "its process ended without a word: it was killed, or the machine stopped"


@dataclass
class Recording:
    """What a workflow fills in while it works."""

    run: Run
    folder: Path
    measurements: list[Measurement] = field(default_factory=list)
    result: Record | None = None
    finished: Run = field(init=False)  # there once the block has ended without an error


@contextmanager
def recording(
    workspace: Workspace,
    kind: Kind,
    request: Request,
    *,
    model: str,
    data: str | None,
    splits: dict[str, Split],
    parents: list[str],
    settings: dict[str, Any],
    device: str,
    again: Run | None = None,
    engine: str = "local",
) -> Iterator[Recording]:
    """Record a run: "running" when it starts, then "done", "failed" or "cancelled"; the error goes on to the caller.

    `again` is an unfinished run that is taken up; it keeps its id and its folder.
    """
    run = Run(
        id=again.id if again else new_run_id(kind),
        kind=kind,
        status="running",
        created=again.created if again else now(),
        model=model,
        data=data,
        splits=splits,
        settings=request.model_dump(mode="json") | settings,
        seed=request.seed,
        environment=environment(device, engine),
        parents=parents,
        command=request.command(),
        foretold=again.foretold if again and again.foretold else forecast(request, workspace),
    )
    with _alone(run.id, workspace):
        yield from _recorded(run, workspace, again.seconds if again else 0.0)


def unfinished(kind: Kind, request: Request, workspace: Workspace) -> Run | None:
    """The newest run of the same command, if it did not come to its end and no process is at work on it."""
    same = workspace.runs.list(kind=kind, command=request.command(), limit=1)
    if not same or same[0].status == "done":
        return None
    try:
        with _alone(same[0].id, workspace):
            return same[0]
    except UsageError:
        return None


def to_resume(kind: Kind, request: Request, workspace: Workspace) -> Run | None:
    """The newest run of the same command that did not come to its end.

    Raises:
        UsageError: the newest run of this command is finished.
    """
    same = workspace.runs.list(kind=kind, command=request.command(), limit=1)
    if same and same[0].status == "done":
        raise UsageError(f"{same[0].id} of this command is finished; there is nothing to resume: use that run")
    return same[0] if same else None


def settle(run_id: str, workspace: Workspace, status: Status = "failed", error: str = LEFT) -> Run | None:
    """Let a run whose process is gone no longer say that it is running.

    Returns:
        The run as it is now; None if there is none, or a process is at work on it.
    """
    try:
        with _alone(run_id, workspace, patience=0):
            run = workspace.runs.get(run_id)
            if run.status == "running" or (run.error == LEFT and error != LEFT):
                run = run.model_copy(update={"status": status, "error": error})
                workspace.runs.save(run)
            return run
    except (UsageError, DamagedRecord):
        return None


def settle_all(workspace: Workspace) -> None:
    """`settle` every run whose process is gone: a process that ends by itself leaves no lock behind."""
    for lock in sorted((workspace.home / "locks").glob("*.lock")):
        with suppress(StorageError):  # a home that is full or closed can still be read
            settle(lock.stem, workspace)


def _finished(run_id: str, workspace: Workspace) -> bool:
    try:
        return workspace.runs.get(run_id).status == "done"
    except LayerwiseError:
        return False


@contextmanager
def _alone(run_id: str, workspace: Workspace, patience: float = PATIENCE) -> Iterator[None]:
    """No other process works on the run. The system ends the lock of a process that was killed."""
    path = workspace.home / "locks" / f"{run_id}.lock"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise UsageError(
                f"another process is at work on {run_id}; wait for it: layerwise runs show {run_id}"
            ) from None
    ended = True
    try:
        yield
    except StorageError:
        ended = False  # perhaps nobody could write how the run ended: its lock stays for `settle_all` to find
        raise
    finally:
        if ended:
            path.unlink(missing_ok=True)
        lock.release()


def _recorded(run: Run, workspace: Workspace, spent: float) -> Iterator[Recording]:
    workspace.runs.save(run)
    started = time.monotonic()
    active = Recording(run, workspace.runs.folder(run.id))

    def ended(**change: Any) -> Run:
        seconds = round(spent + time.monotonic() - started, 3)
        peak = round(memory_peak() / 1e6, 1)
        measured = {"seconds": seconds, "peak_mb": peak, "measurements": active.measurements}
        run_now = run.model_copy(update=measured | change)
        workspace.runs.save(run_now)
        return run_now

    try:
        if workspace.began:
            workspace.began(run)
        yield active
        active.finished = ended(status="done", result=active.result, artifacts=artifacts(active.folder))
    except (KeyboardInterrupt, Cancelled):
        if _finished(run.id, workspace):  # the signal came while the index was written: the run is whole
            raise
        ended(status="cancelled", error="stopped by the user")
        raise
    except LayerwiseError as error:
        ended(status="failed", error=str(error))
        raise
    except BaseException as error:
        ended(status="failed", error=f"{type(error).__name__}: {error}")
        raise


def artifacts(folder: Path) -> list[Artifact]:
    """All files of a run but its record and its labels, with their checksums."""
    kept = (folder / "record.json", folder / labels.FILE)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in kept)
    return [Artifact(path=str(p.relative_to(folder)), sha256=_sha256(p), bytes=p.stat().st_size) for p in files]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
