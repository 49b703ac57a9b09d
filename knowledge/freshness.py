"""A catalogue that says what the records say, whoever wrote them and whatever was killed on the way.

How a difference is found:

- A writer of this project notes the run before it replaces the record, and the catalogue after it. Killed in between, the
  note makes the next reader look at that one record.
- Runs that were copied into the home or removed by hand change the time of `runs/`, which each reading compares. A time
  so young that another change would leave it the same (`TICK`) is not trusted.
- A record that was edited by hand is found when the home is opened (one look at each file, not into it), when it is shown or
  found by a list or a search (the record itself is what is shown), and by `layerwise runs reindex`.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from analyzers.errors import StorageError
from knowledge.catalogue import Catalogue
from knowledge.disk import Disk

Found = TypeVar("Found")

TICK = 100_000_000  # ns; clocks of file systems advance in steps of up to 10 ms
BATCH = 1000  # records in one transaction
_NO_PLACE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


class Freshness:
    """The catalogue of one home, opened when it is first needed. Threads take turns.

    Args:
        disk: the records.
        folder: where the catalogue is kept.
        notice: called with each line that the user should see.
    """

    def __init__(self, disk: Disk, folder: Path, notice: Callable[[str], None]) -> None:
        self._disk = disk
        self._path = folder / "catalogue.sqlite3"
        self._notice = notice
        self._turn = threading.RLock()
        self._open: Catalogue | None = None
        self._unsure = True  # nothing was compared yet, or a write failed: each record has to be looked at

    def ask(self, question: Callable[[Catalogue], Found], *, fresh: bool = True) -> Found:
        """What the catalogue answers, once it is brought up to date.

        Raises:
            StorageError: the home is not readable, or another process holds the catalogue for a minute.
        """

        def asked() -> Found:
            catalogue = self._opened()
            if fresh:
                self._freshen(catalogue)
            return question(catalogue)

        with self._turn:
            if self._open is None and not self._disk.changed():
                return question(Catalogue(None))  # a home that is not there is not made by looking at it
            try:
                return asked()
            except sqlite3.Error as problem:
                self._recover(problem)
            try:
                return asked()
            except sqlite3.Error as problem:
                raise StorageError(f"the catalogue in {self._path} failed: {problem}; remove that file") from problem

    @contextmanager
    def changing(self, run_id: str) -> Iterator[None]:
        """Around the replacement or the removal of a record. A catalogue that fails costs a notice, never the record."""
        with self._turn:
            self._attempt(lambda: self._opened().expect([run_id]))
            yield
            self._attempt(lambda: self._look_at(self._opened(), [run_id]))

    def look_at(self, run_ids: list[str]) -> None:
        """Read these records again: they were seen to differ.

        Raises:
            StorageError: as for `ask`.
        """
        self._tell(*self.ask(lambda catalogue: self._look_at(catalogue, run_ids), fresh=False))

    def build(self) -> int:
        """Throw the catalogue away and read every record; how many are readable.

        Raises:
            StorageError: as for `ask`.
        """
        with self._turn:
            self._discard()
            return self.ask(lambda catalogue: catalogue.count())

    # --- opening ------------------------------------------------------------------------------------------------------

    def _opened(self) -> Catalogue:
        if self._open is not None and self._open.replaced():
            self._close()
        if self._open is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                self._open = self._in_memory(str(problem.strerror))
            else:
                self._open = Catalogue(self._path)
            self._unsure = True
        return self._open

    def _close(self) -> None:
        if self._open:
            self._open.close()
        self._open = None

    def _in_memory(self, why: str) -> Catalogue:
        self._notice(f"the catalogue of runs cannot be kept in {self._path.parent} ({why}); it is in memory meanwhile")
        try:
            return Catalogue(None, copied=self._path if self._path.is_file() else None)
        except sqlite3.Error:
            return Catalogue(None)

    def _recover(self, problem: sqlite3.Error) -> None:
        """Go on in memory where the disk is the reason, with an empty file where the file is."""
        code = (getattr(problem, "sqlite_errorcode", None) or 0) & 0xFF  # without the extended part
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise StorageError(f"another process has held {self._path} for a minute; end it, or try again") from problem
        if code in _NO_PLACE:
            self._close()
            self._open, self._unsure = self._in_memory(str(problem)), True
        else:
            self._notice(f"the catalogue of runs in {self._path} is of no use and will be built again ({problem})")
            self._discard()

    def _discard(self) -> None:
        self._close()
        for path in (self._path, self._path.with_name(f"{self._path.name}-journal")):
            try:
                path.unlink(missing_ok=True)
            except OSError as problem:
                raise StorageError(f"cannot remove {path}: {problem.strerror}") from problem

    # --- keeping up ---------------------------------------------------------------------------------------------------

    def _freshen(self, catalogue: Catalogue) -> None:
        waiting = catalogue.pending()
        self._look_at(catalogue, waiting)  # without a word: writers of this project were at work, or were killed
        changed = self._disk.changed()
        if not self._unsure and changed == catalogue.fact("runs changed"):
            return
        names, known = self._disk.names(), catalogue.stamps()
        differing = names - known.keys() - set(waiting)
        if self._unsure:
            differing |= {name for name in names & known.keys() if known[name] != self._disk.stamp(name)}
        found = self._look_at(catalogue, [*sorted(differing), *(known.keys() - names)])
        if catalogue.made and not known:
            if found[0]:
                self._notice(f"the catalogue of runs was missing; built again from {found[0]} records")
        else:
            self._tell(*found)
        catalogue.made = self._unsure = False
        # A time so young that another change would leave it the same says nothing yet.
        if time.time_ns() - changed > TICK and changed != catalogue.fact("runs changed"):
            catalogue.note("runs changed", changed)

    def _look_at(self, catalogue: Catalogue, run_ids: Iterable[str]) -> tuple[int, int]:
        """Take in these records as far as they differ; how many there are anew, and how many are gone."""
        todo, there, gone = iter(run_ids), 0, 0
        while batch := list(islice(todo, BATCH)):
            known = catalogue.stamps(batch)
            stamps = {each: self._disk.stamp(each) for each in batch}
            entries = list(self._disk.entries([each for each in batch if stamps[each] != known.get(each)]))
            lost = [each for each in batch if stamps[each] is None and each in known]
            empty = [each for each in batch if stamps[each] is None and each not in known]
            there, gone = there + len(entries), gone + len(lost)
            if entries:
                catalogue.put(entries)
            if lost:
                catalogue.forget(lost)
            if empty:  # a record may be on its way into a folder
                catalogue.expect(each for each in empty if (self._disk.runs / each).is_dir())
                catalogue.settle(each for each in empty if not (self._disk.runs / each).is_dir())
        return there, gone

    def _tell(self, there: int, gone: int) -> None:
        if there or gone:
            self._notice(f"the history was behind the records: {there} added or changed, {gone} removed")

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            step()
        except (sqlite3.Error, StorageError) as problem:
            self._unsure = True
            self._notice(f"the catalogue of runs could not be kept up ({problem}); the records are whole")
