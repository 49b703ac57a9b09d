"""The records as they lie on the disk: which there are, and whether one has changed."""

import os
import re
import shutil
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from analyzers.errors import DamagedRecord, StorageError
from analyzers.records import Record, Run
from knowledge import labels
from knowledge.labels import Labels
from knowledge.record_file import parsed, validated

RUN_ID = re.compile(r"[a-z]+-[a-z0-9]+")
LEAVING, COMING = ".deleted-", ".importing-"  # names of folders on their way out and in begin so


class Entry(Record):
    """One run as it was read, or why it could not be."""

    id: str
    stamp: str  # changes whenever the record or the labels do; sorts by time
    run: Run | None
    labels: Labels = Labels()
    problem: str | None = None  # of the record; a run without one is whole
    remark: str | None = None  # of the labels alone

    @property
    def digest(self) -> str:
        """Changes when what is said of the run does, and not when its file is only touched or copied."""
        whole = (self.run.model_dump_json() if self.run else "") + self.labels.model_dump_json()
        return blake2b(whole.encode(), digest_size=8).hexdigest()


class Disk:
    """The folder `runs/` of a home. Reads only, but for `sweep`."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs

    def changed(self) -> int:
        """When a run last came or went, in nanoseconds; 0 where there are none yet.

        A record that is replaced inside its folder does not count.
        """
        try:
            return self.runs.stat().st_mtime_ns
        except OSError:
            return 0

    def names(self) -> set[str]:
        """The folders that could be runs, with or without a record.

        Raises:
            StorageError: the folder is not readable.
        """
        try:
            with os.scandir(self.runs) as found:
                return {each.name for each in found if RUN_ID.fullmatch(each.name)}
        except (FileNotFoundError, NotADirectoryError):
            return set()
        except OSError as problem:
            raise StorageError(f"cannot read {self.runs}: {problem.strerror}; choose another --home") from problem

    def stamp(self, run_id: str) -> str | None:
        """That of one run; None where it has no record.

        Time, size and number of the file: two writes within one tick of the clock, or with the clock set back, differ
        at least in the last, since a record is replaced and never written over.
        """
        folder = f"{self.runs}/{run_id}/"  # no Path: this is asked for every run of a home
        try:
            record = os.stat(folder + "record.json")  # noqa: PTH116
        except OSError:
            return None
        found = f"{record.st_mtime_ns:020d}-{record.st_size}-{record.st_ino}"
        try:
            beside = os.stat(folder + labels.FILE)  # noqa: PTH116
        except OSError:
            return found
        return f"{found}+{beside.st_mtime_ns}-{beside.st_size}-{beside.st_ino}"

    def entry(self, run_id: str) -> Entry | None:
        """One run; None where it has no record."""
        before = self.stamp(run_id)  # a change while it is read makes the entry look old, as it should
        if before is None:
            return None
        path = self.runs / run_id / "record.json"
        try:
            run = validated(parsed(path), path)
        except DamagedRecord as problem:
            return Entry(id=run_id, stamp=before, run=None, problem=str(problem))
        except FileNotFoundError:
            return None  # deleted by another process since
        try:
            return Entry(id=run_id, stamp=before, run=run, labels=labels.read(path.parent))
        except DamagedRecord as problem:
            return Entry(id=run_id, stamp=before, run=run, remark=str(problem))

    def entries(self, run_ids: list[str]) -> Iterator[Entry]:
        for run_id in run_ids:
            if entry := self.entry(run_id):
                yield entry

    def sweep(self, prefix: str) -> None:
        """Remove what a process that was killed left of runs on their way out or in; nobody else may be at it."""
        for folder in self.runs.glob(f"{prefix}*"):
            shutil.rmtree(folder, ignore_errors=True)
