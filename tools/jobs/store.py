"""The table of jobs. Any number of processes may use it at once: each call is one short transaction."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from analyzers.errors import DamagedRecord, StorageError, UnknownJob
from analyzers.records import now
from tools.jobs.records import Job, Process, Status

BUSY = 20.0  # seconds that a transaction waits for those of others
TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
  id TEXT PRIMARY KEY,
  place INTEGER NOT NULL,  -- in the queue: counted, since clocks go backwards
  status TEXT NOT NULL,
  job TEXT NOT NULL        -- the whole record as JSON
);
CREATE INDEX IF NOT EXISTS jobs_by_status ON jobs (status, place);
"""

_Jobs = list[Job]  # inside JobStore the method hides the type


class JobStore:
    """All jobs of one home. Nothing is made on disk before the first job is added."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "jobs"
        self.path = self.folder / "jobs.sqlite"

    def log(self, job_id: str) -> Path:
        return self.folder / f"{job_id}.log"

    def add(self, job: Job) -> Job:
        """Put a new job at the end of the queue.

        Raises:
            StorageError: the disk is full or not writable.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise self._closed(problem.strerror or str(problem)) from problem
        with self._open(new=True) as table:
            values = (job.id, _last(table) + 1, job.status, job.model_dump_json())
            table.execute("INSERT INTO jobs (id, place, status, job) VALUES (?, ?, ?, ?)", values)
        return job

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            UnknownJob: there is none of that id.
            StorageError: the table cannot be read.
        """
        with self._reading() as table:
            row = table.execute("SELECT job FROM jobs WHERE id = ?", (job_id,)).fetchone() if table else None
        if row is None:
            newest = [job.id for job in self.list(limit=3)]
            there = f"the newest are {', '.join(newest)}" if newest else "there are none yet"
            raise UnknownJob(f"no job {job_id!r}; {there}: list them with: layerwise jobs list")
        return self._parsed(row[0])

    def list(self, *statuses: Status, limit: int | None = None) -> list[Job]:
        """The jobs that have one of the statuses, or all; the newest first.

        Raises:
            StorageError: the table cannot be read.
        """
        with self._reading() as table:
            return self._select(table, statuses, "DESC", limit) if table else []

    def change(self, job_id: str, when: Sequence[Status], attempt: int | None = None, **fields: Any) -> Job | None:
        """Set fields of a job that has one of the statuses and is at that attempt, or do nothing and return None.

        Raises:
            StorageError: the disk is full or not writable.
        """
        with self._open() as table:
            row = table.execute("SELECT job FROM jobs WHERE id = ?", (job_id,)).fetchone()
            before = self._parsed(row[0]) if row else None
            if before is None or before.status not in when or attempt not in (None, before.attempt):
                return None
            after = before.model_copy(update=fields)
            place = _last(table) + 1 if (before.over and after.status == "queued") else None
            table.execute(
                "UPDATE jobs SET status = ?, job = ?, place = coalesce(?, place) WHERE id = ?",
                (after.status, after.model_dump_json(), place, job_id),
            )
            return after

    def claim(self, supervisor: Process, refused: Callable[[Job, _Jobs], str | None]) -> Job | None:
        """Take the next job of the queue, if its number of workers lets it run now.

        Args:
            supervisor: the process that takes it. It is in the row before anything is started.
            refused: says why a job does not fit beside those that run. It waits for them, or is refused where none runs.

        Raises:
            StorageError: the disk is full or not writable.
        """
        with self._open() as table:
            running = self._select(table, ("running",), "ASC")
            for job in self._select(table, ("queued",), "ASC"):
                if len(running) >= job.workers:
                    return None
                why = refused(job, running)
                if why and running:
                    return None
                change: dict[str, Any] = {
                    "status": "running",
                    "started": now(),
                    "supervisor": supervisor,
                    "attempt": job.attempt + 1,
                }
                if why:
                    change = {"status": "failed", "ended": now(), "error": why, "error_type": "NotEnoughMemory"}
                taken = job.model_copy(update=change)
                table.execute(
                    "UPDATE jobs SET status = ?, job = ? WHERE id = ?", (taken.status, taken.model_dump_json(), job.id)
                )
                if not why:
                    return taken
        return None

    def _select(
        self, table: sqlite3.Connection, statuses: Sequence[Status], order: str, limit: int | None = None
    ) -> _Jobs:
        where = f"WHERE status IN ({', '.join('?' * len(statuses))})" if statuses else ""
        query = f"SELECT job FROM jobs {where} ORDER BY place {order} LIMIT ?"
        rows = table.execute(query, (*statuses, -1 if limit is None else limit)).fetchall()
        return [self._parsed(text) for (text,) in rows]

    def _parsed(self, text: str) -> Job:
        try:
            return Job.model_validate_json(text)
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(map(str, first["loc"])) or "job"
            raise DamagedRecord(
                f"{self.path} has a job that is damaged or of a newer version ({where}: {first['msg']}); update Layerwise, or "
                "move the file away: runs are not in it, and a new one is made"
            ) from None

    @contextmanager
    def _open(self, new: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction that writes: all of it or nothing."""
        try:
            table = self._connect("mode=rwc" if new else "mode=rw")
            try:
                if new:
                    table.execute("PRAGMA journal_mode = WAL")
                table.execute("BEGIN IMMEDIATE")
                if new:
                    for statement in TABLE.split(";"):
                        table.execute(statement)
                yield table
                table.execute("COMMIT")
            finally:
                table.close()  # what was not committed is undone
        except sqlite3.Error as problem:
            raise self._closed(str(problem)) from problem

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The table as it is now; None where there was never a job."""
        if not self.path.is_file():
            yield None
            return
        try:
            table = self._readable()
            try:
                made = table.execute("SELECT count(*) FROM sqlite_master WHERE name = 'jobs'").fetchone()[0]
                yield table if made else None  # not yet, where another process is just making it
            finally:
                table.close()
        except sqlite3.Error as problem:
            raise self._closed(str(problem)) from problem

    def _readable(self) -> sqlite3.Connection:
        try:
            return self._looked_at("mode=rw")
        except sqlite3.OperationalError:
            # A closed file system has no room for what readers of a write-ahead log share; nobody writes there either.
            return self._looked_at("immutable=1")

    def _looked_at(self, options: str) -> sqlite3.Connection:
        table = self._connect(options)
        try:
            table.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.Error:
            table.close()
            raise
        return table

    def _connect(self, options: str) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?{options}", BUSY, isolation_level=None, uri=True)

    def _closed(self, why: str) -> StorageError:
        return StorageError(
            f"cannot use the list of jobs {self.path}: {why}; runs are not in it and intact. Free some space, choose another "
            "place with --home, or, where the file is damaged, move it away: a new one is made"
        )


def _last(table: sqlite3.Connection) -> int:
    return int(table.execute("SELECT coalesce(max(place), 0) FROM jobs").fetchone()[0])
