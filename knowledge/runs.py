"""The run history. `runs/<id>/record.json` is the truth; the search index beside it is a copy that can be rebuilt."""

import re
import shutil
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzers.errors import DamagedRecord, StorageError, UnknownRun, UsageError
from analyzers.records import Record, Run
from knowledge.files import write_whole
from knowledge.record_file import parsed, stamp, validated

if TYPE_CHECKING:
    from knowledge.index import Index

RUN_ID = re.compile(r"[a-z]+-[a-z0-9]+")


class Hit(Record):
    """A run that was found, and how near it is to what was asked: 1 is the same text, 0 unrelated."""

    run: Run
    score: float


Hits = list[Hit]  # inside RunStore the method hides the type


class RunStore:
    """All runs of one home. Several processes may use the same home.

    Lines that a user should see (a damaged record left out, an index built anew) are gathered in `notices`.

    Args:
        home: the folder that holds `runs/` and `index/`.
        embedder_folder: a local MiniLM for searching by meaning; words are compared where it is missing.
    """

    def __init__(self, home: Path, *, embedder_folder: Path | None) -> None:
        self.home = home
        self.notices: list[str] = []
        self._runs = home / "runs"
        self._embedder_folder = embedder_folder

    def folder(self, run_id: str) -> Path:
        """Where the record and the artifacts of a run are; it need not exist yet.

        Raises:
            UnknownRun: that cannot be the id of a run.
        """
        if not RUN_ID.fullmatch(run_id):
            raise self._unknown(run_id)
        return self._runs / run_id

    def save(self, run: Run) -> None:
        """Write the record, then index it. An index that fails costs a notice, never the record.

        Raises:
            StorageError: the disk is full or not writable.
        """
        path = self.folder(run.id) / "record.json"
        write_whole(path, (run.model_dump_json(indent=1) + "\n").encode())
        try:
            self._index.write([(run, stamp(path))])
        except StorageError as problem:
            self._notice(f"{problem}; {run.id} itself is saved, the next search builds the index again")

    def get(self, run_id: str) -> Run:
        """One run.

        Raises:
            UnknownRun: there is none of that id.
            DamagedRecord: its record is not readable.
        """
        path = self.folder(run_id) / "record.json"
        try:
            return validated(parsed(path), path)
        except FileNotFoundError:
            raise self._unknown(run_id) from None

    def list(
        self,
        *,
        kind: str | None = None,
        status: str | None = None,
        model: str | None = None,
        data: str | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """The runs with those fields, the newest first. A damaged record is left out, with a notice.

        Raises:
            StorageError: the home is not readable.
        """
        wanted = {"kind": kind, "status": status, "model": model, "data": data}
        wanted = {name: value for name, value in wanted.items() if value is not None}
        found: list[tuple[tuple[str, str], Path, dict[str, Any]]] = []
        for path in self._records():
            try:
                fields = parsed(path)
                order = (str(fields.get("created")), stamp(path))
            except DamagedRecord as problem:
                self._notice(str(problem))
                continue
            except FileNotFoundError:
                continue  # deleted by another process since
            if all(fields.get(name) == value for name, value in wanted.items()):
                found.append((order, path, fields))
        found.sort(key=lambda item: item[0], reverse=True)
        runs: list[Run] = []
        for _, path, fields in found:
            if limit is not None and len(runs) >= limit:
                break
            try:
                runs.append(validated(fields, path))
            except DamagedRecord as problem:
                self._notice(str(problem))
        return runs

    def search(
        self,
        text: str,
        *,
        kind: str | None = None,
        model: str | None = None,
        data: str | None = None,
        status: str | None = None,
        limit: int = 5,
    ) -> "Hits":
        """The runs nearest in meaning to the text, among those with the fields; the best first.

        Raises:
            UsageError: no text.
            StorageError: the index could not be built.
        """
        if not text.strip():
            raise UsageError("nothing to search for; to see all runs: layerwise runs list")
        fields = {"kind": kind, "model": model, "data": data, "status": status}
        conditions = [{name: value} for name, value in fields.items() if value is not None]
        where = {"$and": conditions} if len(conditions) > 1 else (conditions[0] if conditions else None)
        self._freshen()
        try:
            found = self._index.nearest(text, where, limit)
        except StorageError as problem:
            self._rebuild(str(problem))
            found = self._index.nearest(text, where, limit)
        hits = []
        for run_id, score in found:
            try:
                hits.append(Hit(run=self.get(run_id), score=score))
            except DamagedRecord as problem:
                self._notice(str(problem))
            except UnknownRun:
                continue  # deleted by another process since
        return hits

    def delete(self, run_id: str, *, force: bool = False) -> None:
        """Remove a run, its artifacts and its entry in the index. Works on a damaged record too.

        Raises:
            UnknownRun: there is none of that id.
            UsageError: other runs were made from it, and not `force`.
            StorageError: its files cannot be removed.
        """
        folder = self.folder(run_id)
        if not folder.is_dir():
            raise self._unknown(run_id)
        children = [run.id for run in self.list() if run_id in run.parents]
        if children and not force:
            raise UsageError(
                f"{run_id} is what {', '.join(children)} came from; delete those first, or add --force to keep them"
            )
        gone = folder.with_name(f".deleted-{run_id}")
        try:
            shutil.rmtree(gone, ignore_errors=True)
            folder.rename(gone)  # at once: a run is there whole or not at all
            shutil.rmtree(gone)
        except OSError as problem:
            raise StorageError(f"cannot delete {folder}: {problem.strerror}") from problem
        try:
            self._index.remove([run_id])
        except StorageError as problem:
            self._notice(f"{problem}; {run_id} is deleted, the next search builds the index again")

    def export(self, run_id: str, path: Path) -> Path:
        """Pack the record, the artifacts and `checksums.txt` (for `sha256sum -c`) into one zip file.

        Raises:
            UnknownRun: there is none of that id.
            UsageError: the file exists.
            DamagedRecord: an artifact is missing or not what was recorded.
            StorageError: the file cannot be written.
        """
        from knowledge.archive import pack

        return pack(self.get(run_id), self.folder(run_id), path)

    def reindex(self) -> int:
        """Build the search index again from the records; the number of runs in it.

        Raises:
            StorageError: the index cannot be written.
        """
        return self._index.rebuild(self._stamped(list(self._records())))

    @cached_property
    def _index(self) -> "Index":
        from knowledge.index import Index

        return Index(self.home / "index", self._embedder_folder, self._notice)

    def _freshen(self) -> None:
        """Let the index hold exactly the records that are there, embedded as they would be now."""
        records = {path.parent.name: path for path in self._records()}
        try:
            indexed = self._index.state()
        except StorageError as problem:
            return self._rebuild(str(problem))
        if indexed is None:
            return self._rebuild("the search index is missing or of another embedder") if records else None
        changed = [path for name, path in records.items() if indexed.get(name) != stamp(path)]
        behind = [*self._stamped(changed)]
        gone = sorted(indexed.keys() - records.keys())
        if behind:
            self._index.write(behind)
        if gone:
            self._index.remove(gone)
        if behind or gone:
            self._notice(f"the search index was behind: {len(behind)} added or changed, {len(gone)} removed")
        return None

    def _rebuild(self, why: str) -> None:
        self._notice(f"{why}; built again from {self.reindex()} records")

    def _stamped(self, paths: Sequence[Path]) -> Iterator[tuple[Run, str]]:
        for path in paths:
            try:
                before = stamp(path)  # a change while it is read makes the index look behind, as it should
                yield validated(parsed(path), path), before
            except DamagedRecord as problem:
                self._notice(str(problem))
            except FileNotFoundError:
                continue  # deleted by another process since

    def _records(self) -> Iterator[Path]:
        try:
            folders = sorted(self._runs.iterdir()) if self._runs.is_dir() else []
        except OSError as problem:
            raise StorageError(f"cannot read {self._runs}: {problem.strerror}; choose another --home") from problem
        for folder in folders:
            if RUN_ID.fullmatch(folder.name) and (folder / "record.json").is_file():
                yield folder / "record.json"

    def _unknown(self, run_id: str) -> UnknownRun:
        newest = [run.id for run in self.list(limit=3)]
        there = f"the newest are {', '.join(newest)}" if newest else "there are none yet"
        return UnknownRun(f"no run {run_id!r}; {there}: list them with: layerwise runs list")

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)
