"""The run history. `runs/<id>/record.json` is the truth; the catalogue and the search index are copies that can be rebuilt."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from pydantic import ValidationError

from analyzers.errors import DamagedRecord, StorageError, UnknownRun, UsageError
from analyzers.records import Record, Run, now
from knowledge import labels
from knowledge.disk import COMING, LEAVING, RUN_ID, Disk
from knowledge.files import write_whole
from knowledge.filters import Filters
from knowledge.freshness import Freshness
from knowledge.labels import Labels, Remark
from knowledge.lineage import Lineage, lineage
from knowledge.record_file import parsed, validated

if TYPE_CHECKING:
    from knowledge.index import Index


class Hit(Record):
    """A run that was found, and how near it is to what was asked: 1 is the same text, 0 unrelated."""

    run: Run
    score: float


Hits = list[Hit]  # inside RunStore the method hides the type
Names = list[str]
Runs = list[Run]


class RunStore:
    """All runs of one home. Several processes may use the same home.

    Lines that a user should see (a damaged record left out, an index built anew) are gathered in `notices`.

    Args:
        home: the folder that holds `runs/` and `index/`.
        embedder_folder: a local MiniLM for searching by meaning; words are compared where it is missing.
        chroma_url: of a Chroma server that holds the search index instead of `index/`.
    """

    def __init__(self, home: Path, *, embedder_folder: Path | None, chroma_url: str | None = None) -> None:
        self.home = home
        self.notices: list[str] = []
        self._runs = home / "runs"
        self._disk = Disk(self._runs)
        self._catalogue = Freshness(self._disk, home / "index", self._notice)
        self._embedder_folder = embedder_folder
        self._chroma_url = chroma_url

    def folder(self, run_id: str) -> Path:
        """Where the record and the artifacts of a run are; it need not exist yet.

        Raises:
            UnknownRun: that cannot be the id of a run.
        """
        if not RUN_ID.fullmatch(run_id):
            raise self._unknown(run_id)
        return self._runs / run_id

    def save(self, run: Run) -> None:
        """Write the record, then tell the catalogue. A catalogue that fails costs a notice, never the record.

        Raises:
            StorageError: the disk is full or not writable.
        """
        path = self.folder(run.id) / "record.json"
        with self._catalogue.changing(run.id):
            write_whole(path, (run.model_dump_json(indent=1) + "\n").encode())

    def get(self, run_id: str) -> Run:
        """One run, as its record says now.

        Raises:
            UnknownRun: there is none of that id.
            DamagedRecord: its record is not readable.
        """
        path = self.folder(run_id) / "record.json"
        try:
            return validated(parsed(path), path)
        except FileNotFoundError:
            raise self._unknown(run_id) from None

    def list(self, *, limit: int | None = None, best: str | None = None, **wanted: Any) -> list[Run]:
        """The runs that fit, the newest first. A damaged record is left out, with a notice.

        Args:
            limit: how many at most.
            best: name of a measurement; only runs that have it, those that do best in it first.
            wanted: fields of `Filters`: kind, status, model, base_model, data, command, since, until, where, tags, pinned.

        Raises:
            UsageError: there is no such filter, or its value cannot be one.
            StorageError: the home is not readable.
        """
        filters = self._filters(wanted, best)
        for _ in range(3):
            found, problems = self._catalogue.ask(lambda c: (c.find(filters, limit, best), c.problems()))
            runs: Runs = []
            other: Names = []
            for run_id, stamp in found:
                try:
                    runs.append(self.get(run_id))
                except (DamagedRecord, UnknownRun):
                    other.append(run_id)
                if self._disk.stamp(run_id) != stamp:
                    other.append(run_id)
            if not other:
                break
            self._catalogue.look_at(other)  # edited by hand, or deleted, since the catalogue saw them
        for problem in problems.values():
            self._notice(problem)
        return runs

    def count(self, **wanted: Any) -> int:
        """How many readable runs fit; the filters are those of `list`.

        Raises:
            UsageError, StorageError: as for `list`.
        """
        filters = self._filters(wanted)
        return self._catalogue.ask(lambda c: c.count(filters))

    def unreadable(self) -> dict[str, str]:
        """The runs whose record cannot be read, and why.

        Raises:
            StorageError: the home is not readable.
        """
        return self._catalogue.ask(lambda c: c.problems())

    def search(self, text: str, *, limit: int = 5, **wanted: Any) -> "Hits":
        """The runs nearest in meaning to the text, among those that fit; the best first. The filters are those of `list`.

        Raises:
            UsageError: no text, or no such filter.
            StorageError: the index could not be built, or its server does not answer.
        """
        if not text.strip():
            raise UsageError("nothing to search for; to see all runs: layerwise runs list")
        filters = self._filters(wanted)
        if not self._catalogue.ask(lambda c: c.count()):
            return []
        hits = []
        for run_id, score in self._index.nearest(text, filters, limit):
            try:
                hits.append(Hit(run=self.get(run_id), score=score))
            except DamagedRecord as problem:
                self._notice(str(problem))
            except UnknownRun:
                continue  # deleted by another process since
        return hits

    def base_model(self, run: Run) -> str:
        """The model at the start of the lineage: the one that no run produced, as far as it can be followed.

        Raises:
            StorageError: the home is not readable.
        """
        return self._catalogue.ask(lambda c: c.base(run.model))

    def lineage(self, run_id: str) -> Lineage:
        """What a run came from and what came from it.

        Raises:
            UnknownRun: there is none of that id.
            StorageError: the home is not readable.
        """
        self._there(run_id)
        return self._catalogue.ask(lambda c: lineage(run_id, c.parents, c.children))

    # --- labels -------------------------------------------------------------------------------------------------------

    def labels(self, run_id: str) -> Labels:
        """The tags, notes and pin of a run.

        Raises:
            UnknownRun: there is none of that id.
            DamagedRecord: the file of the labels is not readable.
        """
        return labels.read(self._there(run_id))

    def labels_of(self, runs: Iterable[Run]) -> dict[str, Labels]:
        """The labels of several runs that have any; what cannot be read is left out, with a notice."""
        found = {}
        for run in runs:
            try:
                if (read := labels.read(self.folder(run.id))) != Labels():
                    found[run.id] = read
            except DamagedRecord as problem:
                self._notice(str(problem))
        return found

    def tag(self, run_id: str, tags: Iterable[str], *, remove: bool = False) -> Labels:
        """Add tags to a run, or take them off.

        Raises:
            UnknownRun, DamagedRecord: as for `labels`.
            UsageError: that cannot be a tag.
            StorageError: the disk is full or not writable.
        """
        named = [labels.tag(each) for each in tags]
        with self._labelling(run_id) as before:
            kept = [each for each in before.tags if each not in named]
            return self._label(run_id, before, tags=tuple(kept if remove else sorted({*kept, *named})))

    def note(self, run_id: str, text: str) -> Labels:
        """Add a note to a run.

        Raises:
            UnknownRun, DamagedRecord, StorageError: as for `tag`.
            UsageError: an empty note.
        """
        if not text.strip():
            raise UsageError("an empty note says nothing; write it in quotes after the id of the run")
        with self._labelling(run_id) as before:
            return self._label(run_id, before, notes=(*before.notes, Remark(created=now(), text=text.strip())))

    def pin(self, run_id: str, pinned: bool = True) -> Labels:
        """Keep a run safe from deletion, or no longer.

        Raises:
            UnknownRun, DamagedRecord, StorageError: as for `tag`.
        """
        with self._labelling(run_id) as before:
            return self._label(run_id, before, pinned=pinned)

    @contextmanager
    def _labelling(self, run_id: str) -> Iterator[Labels]:
        """The labels, which no other process changes meanwhile."""
        self._there(run_id)
        with self._locked("labels"):
            yield self.labels(run_id)

    def _label(self, run_id: str, before: Labels, **changes: Any) -> Labels:
        after = before.model_copy(update=changes)
        with self._catalogue.changing(run_id):
            labels.write(self.folder(run_id), after)
        return after

    # --- leaving and coming -------------------------------------------------------------------------------------------

    def delete(self, run_id: str, *, force: bool = False, with_dependants: bool = False) -> Names:
        """Remove a run and its artifacts; the ids that were deleted. Works on a damaged record too.

        Args:
            run_id: the run.
            force: even if other runs were made from it; those stay.
            with_dependants: those as well.

        Raises:
            UnknownRun: there is none of that id.
            UsageError: other runs were made from it and neither is said, or one of them is pinned.
            StorageError: its files cannot be removed.
        """
        self._there(run_id)
        below = self.lineage(run_id).below
        if below and not force and not with_dependants:
            raise UsageError(
                f"{run_id} is what {', '.join(below)} came from; delete those first, add --with-dependants to delete them "
                "too, or --force to keep them"
            )
        doomed = [*reversed(below), run_id] if with_dependants else [run_id]
        if pinned := self._catalogue.ask(lambda c: c.pinned(doomed)):
            raise UsageError(
                f"{', '.join(pinned)} {'is' if len(pinned) == 1 else 'are'} pinned and nothing was deleted; first: "
                f"layerwise runs pin {pinned[0]} --remove"
            )
        with self._locked("deletion"):
            self._disk.sweep(LEAVING)
            for each in doomed:
                self._remove(each)
        return doomed

    def _remove(self, run_id: str) -> None:
        folder = self.folder(run_id)
        gone = folder.with_name(f"{LEAVING}{run_id}")
        with self._catalogue.changing(run_id):
            try:
                folder.rename(gone)  # at once: a run is there whole or not at all
                shutil.rmtree(gone)
            except OSError as problem:
                raise StorageError(f"cannot delete {folder}: {problem.strerror}") from problem

    def export(self, run_id: str, path: Path) -> Path:
        """Pack the record, the labels, the artifacts and `checksums.txt` (for `sha256sum -c`) into one zip file.

        Raises:
            UnknownRun: there is none of that id.
            UsageError: the file exists.
            DamagedRecord: an artifact is missing or not what was recorded.
            StorageError: the file cannot be written.
        """
        from knowledge.archive import pack

        return pack(self.get(run_id), self.folder(run_id), path)

    def import_archive(self, path: Path) -> Run:
        """Take in a run that `export` packed, whole or not at all.

        Raises:
            UsageError: there is no such file, or a run of that id is there already.
            DamagedRecord: the archive is damaged, of a newer version, or holds what its record does not name.
            StorageError: the disk is full or not writable.
        """
        from knowledge.archive import unpack

        with self._locked("import"):
            self._disk.sweep(COMING)
            with unpack(path, self._runs) as (run, unpacked):
                folder = self.folder(run.id)
                with self._catalogue.changing(run.id):
                    try:
                        unpacked.rename(folder)
                    except OSError as problem:
                        raise StorageError(f"cannot write {folder}: {problem.strerror}") from problem
        return run

    def reindex(self) -> int:
        """Build the catalogue and the search index again from the records; the number of runs in them.

        Raises:
            StorageError: the index cannot be written.
        """
        self._catalogue.build()
        return self._index.rebuild()

    # --- inside -------------------------------------------------------------------------------------------------------

    @cached_property
    def _index(self) -> "Index":
        from knowledge.index import Index

        return Index(
            self.home, self._chroma_url, self._embedder_folder, self._catalogue, self._disk, notice=self._notice
        )

    def _filters(self, wanted: dict[str, Any], best: str | None = None) -> Filters:
        try:
            filters = Filters(**{name: value for name, value in wanted.items() if value is not None})
        except ValidationError as problem:
            first = problem.errors()[0]
            raise UsageError(
                f"{'.'.join(map(str, first['loc']))} {first['input']!r}: {first['msg']}; runs can be chosen by: "
                f"{', '.join(Filters.model_fields)}"
            ) from None
        if names := [*(each.name for each in filters.where), *([best] if best else [])]:
            known = self._catalogue.ask(lambda c: c.names_of_metrics())
            for name in names:
                if known and name not in known:
                    raise UsageError(f"no run has measured {name!r}; measured were: {', '.join(known)}")
        return filters

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        """One process at a time."""
        path = self.home / "locks" / f"history-{what}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire(timeout=600)
        except OSError as problem:
            raise StorageError(f"cannot write {path}: {problem.strerror}; choose another --home") from problem
        try:
            yield
        finally:
            lock.release()

    def _there(self, run_id: str) -> Path:
        folder = self.folder(run_id)
        if not folder.is_dir():
            raise self._unknown(run_id)
        return folder

    def _unknown(self, run_id: str) -> UnknownRun:
        newest = [each for each, _ in self._catalogue.ask(lambda c: c.find(Filters(), 3))]
        there = f"the newest are {', '.join(newest)}" if newest else "there are none yet"
        return UnknownRun(f"no run {run_id!r}; {there}: list them with: layerwise runs list")

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)
