"""The catalogue: what lists, filters and lineage need of each run, in SQLite. A copy of the records that can be thrown
away; a home of 100,000 runs is opened without reading them.

Each change of a run has a revision, so that the search index can ask what it missed.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analyzers.records import Measurement, Run
from knowledge.describe import describe
from knowledge.disk import Entry
from knowledge.filters import FEWER_IS_BETTER, Condition, Filters

LAYOUT = 4  # of the tables; another one is thrown away and built again
# Subjects, what a run makes first. A plan makes nothing: what it promises counts before the model that it is made for.
HANDED_OVER = ("quantized", "healed", "compressed", "exported", "planned", "predicted", "model", "dense")
MANY = 2000  # runs; so many are sorted by time in a few ms
SPLITS = ("test", None, "select", "train")  # the first that was measured counts

_TABLES = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY, stamp TEXT NOT NULL, digest TEXT NOT NULL, rev INTEGER NOT NULL, problem TEXT, kind TEXT,
    status TEXT, created REAL, model TEXT, base TEXT, data TEXT, command TEXT, pinned INTEGER NOT NULL);
CREATE INDEX by_time ON runs (created, stamp, id);
CREATE INDEX by_kind ON runs (kind, created, stamp);
CREATE INDEX by_status ON runs (status, created, stamp);
CREATE INDEX by_model ON runs (model, created, stamp);
CREATE INDEX by_base ON runs (base, created, stamp);
CREATE INDEX by_data ON runs (data, created, stamp);
CREATE INDEX by_command ON runs (command, created, stamp);
CREATE INDEX by_problem ON runs (problem) WHERE problem IS NOT NULL;
CREATE INDEX by_pin ON runs (pinned) WHERE pinned;
CREATE INDEX by_rev ON runs (rev);
CREATE TABLE parents (id TEXT, parent TEXT, PRIMARY KEY (id, parent)) WITHOUT ROWID;
CREATE INDEX by_parent ON parents (parent);
CREATE TABLE tags (id TEXT, tag TEXT, PRIMARY KEY (id, tag)) WITHOUT ROWID;
CREATE INDEX by_tag ON tags (tag);
CREATE TABLE metrics (id TEXT, name TEXT, subject TEXT, value REAL, PRIMARY KEY (id, name, subject)) WITHOUT ROWID;
CREATE INDEX by_value ON metrics (name, subject, value);
CREATE TABLE words (id TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pending (id TEXT PRIMARY KEY);
CREATE TABLE gone (id TEXT PRIMARY KEY, rev INTEGER NOT NULL);
CREATE INDEX by_gone ON gone (rev);
CREATE TABLE facts (name TEXT PRIMARY KEY, value);
"""


class Catalogue:
    """One open file. Errors of SQLite go to the caller, who knows whether to build it again.

    Args:
        path: the file; made with its tables where it is missing. None: in memory alone.
        copied: a file to begin from, where it is in memory.
    """

    def __init__(self, path: Path | None, copied: Path | None = None) -> None:
        self.path = path
        self._db = sqlite3.connect(path or ":memory:", timeout=60, isolation_level=None, check_same_thread=False)
        self._db.execute(
            "PRAGMA synchronous = OFF"
        )  # a copy: after a power cut the check at opening finds what is lost
        self._db.execute("PRAGMA cache_size = -65536")
        if copied:
            with sqlite3.connect(f"{copied.absolute().as_uri()}?mode=ro&immutable=1", uri=True) as source:
                source.backup(self._db)
            source.close()
        try:
            self.made = self._laid_out()  # just now, and empty
        except BaseException:
            self._db.close()
            raise
        self._file = path.stat().st_ino if path else None

    def _laid_out(self) -> bool:
        with self._writing():
            [layout] = self._db.execute("PRAGMA user_version").fetchone()
            if layout == LAYOUT:
                return False
            if layout or self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                raise sqlite3.DatabaseError(f"it is of another version of Layerwise, layout {layout}")
            for statement in _TABLES.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {LAYOUT}")
            return True

    def close(self) -> None:
        self._db.close()

    def replaced(self) -> bool:
        """Whether the file was deleted or replaced since it was opened."""
        try:
            return self.path is not None and self.path.stat().st_ino != self._file
        except OSError:
            return True

    # --- what changes it ----------------------------------------------------------------------------------------------

    def put(self, entries: Iterable[Entry]) -> None:
        """Insert or replace runs. One whose content is the same keeps its revision."""
        with self._writing():
            last = before = self.revision()
            for entry in entries:
                known = self._one("SELECT digest, rev FROM runs WHERE id = ?", entry.id)
                digest = entry.digest
                if known:
                    self._clear(entry.id)
                if known and known[0] == digest:
                    self._put(entry, digest, known[1])
                else:
                    last += 1
                    self._put(entry, digest, last)
            if last > before:
                self._set_revision(last)

    def _put(self, entry: Entry, digest: str, rev: int) -> None:
        run, labels = entry.run, entry.labels
        fields: tuple[Any, ...] = (None,) * 7
        if run:
            base = self._base(run.model) if run.model != run.id else run.model
            fields = (run.kind, run.status, run.created.timestamp(), run.model, base, run.data, run.command)
            self._db.executemany(
                "INSERT OR IGNORE INTO parents VALUES (?, ?)", [(run.id, each) for each in run.parents]
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO metrics VALUES (?, ?, ?, ?)", [(run.id, *each) for each in metrics(run)]
            )
            self._db.execute("INSERT INTO words VALUES (?, ?)", (run.id, describe(run, labels)))
        row = (entry.id, entry.stamp, digest, rev, entry.problem, *fields, labels.pinned)
        self._db.execute(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(row))})", row)
        self._db.executemany("INSERT INTO tags VALUES (?, ?)", [(entry.id, each) for each in labels.tags])
        self._db.execute("DELETE FROM pending WHERE id = ?", (entry.id,))
        self._db.execute("DELETE FROM gone WHERE id = ?", (entry.id,))
        self._rebase(entry.id)

    def forget(self, run_ids: Iterable[str]) -> None:
        """Drop runs that are deleted."""
        with self._writing():
            for run_id in run_ids:
                self._clear(run_id)
                self._db.execute("DELETE FROM runs WHERE id = ?", (run_id,))
                self._db.execute("DELETE FROM pending WHERE id = ?", (run_id,))
                revision = self.revision() + 1
                self._set_revision(revision)
                self._db.execute("INSERT OR REPLACE INTO gone VALUES (?, ?)", (run_id, revision))
                self._rebase(run_id)

    def expect(self, run_ids: Iterable[str]) -> None:
        """Say before it happens that a record is about to change: should the writer be killed, readers look at it."""
        with self._writing():
            self._db.executemany("INSERT OR IGNORE INTO pending VALUES (?)", [(each,) for each in run_ids])

    def settle(self, run_ids: Iterable[str]) -> None:
        """Nothing is expected of these any more."""
        with self._writing():
            self._db.executemany("DELETE FROM pending WHERE id = ?", [(each,) for each in run_ids])

    def forget_words(self, run_ids: Iterable[str]) -> None:
        """The search index has them now."""
        with self._writing():
            self._db.executemany("DELETE FROM words WHERE id = ?", [(each,) for each in run_ids])

    def note(self, name: str, value: Any) -> None:
        """Keep one fact about the home, or drop it for None."""
        with self._writing():
            self._db.execute("DELETE FROM facts WHERE name = ?", (name,))
            if value is not None:
                self._db.execute("INSERT INTO facts VALUES (?, ?)", (name, value))

    # --- what it knows ------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> Any:
        found = self._one("SELECT value FROM facts WHERE name = ?", name)
        return found[0] if found else None

    def stamps(self, run_ids: list[str] | None = None) -> dict[str, str]:
        """Stamp of the record of each run, as it was when it was read."""
        if run_ids is None:
            return dict(self._db.execute("SELECT id, stamp FROM runs").fetchall())
        found = [self._one("SELECT id, stamp FROM runs WHERE id = ?", each) for each in run_ids]
        return dict(each for each in found if each)

    def words(self, run_ids: list[str]) -> dict[str, str]:
        """What is to be searched for in these runs, as far as no index took it: no record is read twice for that."""
        found = [self._one("SELECT id, text FROM words WHERE id = ?", each) for each in run_ids]
        return dict(each for each in found if each)

    def pending(self) -> list[str]:
        return [each for (each,) in self._db.execute("SELECT id FROM pending").fetchall()]

    def problems(self) -> dict[str, str]:
        """The runs whose record is not readable, and why."""
        return dict(self._db.execute("SELECT id, problem FROM runs WHERE problem IS NOT NULL ORDER BY id").fetchall())

    def count(self, filters: Filters | None = None) -> int:
        """How many runs are readable and fit the filters."""
        where, values = _sql(filters or Filters())
        return int(self._one(f"SELECT count(*) FROM runs WHERE {where}", *values)[0])

    def find(self, filters: Filters, limit: int | None = None, best: str | None = None) -> list[tuple[str, str]]:
        """Id and stamp of the runs that fit, the newest first, or those that do best in a measurement."""
        if best is not None:
            return self._best(filters, limit, best)
        # A range that many runs meet is looked up for each run from the newest down, until there are enough of them.
        each = limit is not None and all(self._met_by_many(condition) for condition in filters.where)
        where, values = _sql(filters, each)
        order = f"ORDER BY created DESC, stamp DESC LIMIT {-1 if limit is None else limit}"
        return self._db.execute(f"SELECT id, stamp FROM runs WHERE {where} {order}", values).fetchall()

    def ids(self, filters: Filters) -> list[str]:
        """The runs that fit, in no order."""
        where, values = _sql(filters)
        return [each for (each,) in self._db.execute(f"SELECT id FROM runs WHERE {where}", values).fetchall()]

    def children(self, run_id: str) -> list[str]:
        """What was made from a run, directly; the oldest first."""
        query = "SELECT p.id FROM parents p JOIN runs r ON r.id = p.id WHERE p.parent = ? ORDER BY r.created, r.id"
        return [each for (each,) in self._db.execute(query, (run_id,)).fetchall()]

    def parents(self, run_id: str) -> list[str]:
        """What a run was made from, directly, whether it is still there or not."""
        return [each for (each,) in self._db.execute("SELECT parent FROM parents WHERE id = ?", (run_id,)).fetchall()]

    def base(self, model: str) -> str:
        """The model at the start of the lineage: the one that no run produced, as far as it can be followed."""
        return self._base(model)

    def pinned(self, run_ids: list[str]) -> list[str]:
        return [each for each in run_ids if self._one("SELECT 1 FROM runs WHERE id = ? AND pinned", each)]

    def names_of_metrics(self) -> list[str]:
        # From one name to the next along the index: DISTINCT would read a row for each run.
        query = """
            WITH RECURSIVE found(name) AS (
                SELECT min(name) FROM metrics
                UNION ALL SELECT (SELECT min(name) FROM metrics WHERE name > found.name) FROM found WHERE name IS NOT NULL)
            SELECT name FROM found WHERE name IS NOT NULL"""
        return [each for (each,) in self._db.execute(query).fetchall()]

    def tags(self) -> list[str]:
        return [each for (each,) in self._db.execute("SELECT DISTINCT tag FROM tags ORDER BY tag").fetchall()]

    def revision(self) -> int:
        return int(self.fact("revision") or 0)

    def since(self, revision: int) -> tuple[list[str], list[str]]:
        """Readable runs that came or changed after a revision, and those that went or became unreadable."""
        changed = self._db.execute("SELECT id, problem FROM runs WHERE rev > ? ORDER BY rev", (revision,)).fetchall()
        gone = self._db.execute("SELECT id FROM gone WHERE rev > ?", (revision,)).fetchall()
        return [i for i, problem in changed if not problem], [i for (i,) in gone] + [i for i, each in changed if each]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _best(self, filters: Filters, limit: int | None, name: str) -> list[tuple[str, str]]:
        where, values = _sql(filters)
        query = f"""
            SELECT runs.id, stamp FROM metrics JOIN runs ON runs.id = metrics.id
            WHERE name = ? AND subject = '' AND {where}
            ORDER BY value {"ASC" if name in FEWER_IS_BETTER else "DESC"} LIMIT {-1 if limit is None else limit}"""
        return self._db.execute(query, [name, *values]).fetchall()

    def _met_by_many(self, condition: Condition) -> bool:
        some = f"SELECT 1 FROM metrics WHERE {_met(condition)} LIMIT {MANY}"
        found = self._one(f"SELECT count(*) FROM ({some})", condition.name, condition.subject, condition.value)
        return bool(found[0] == MANY)

    def _one(self, query: str, *values: Any) -> Any:
        return self._db.execute(query, values).fetchone()

    def _set_revision(self, revision: int) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES ('revision', ?)", (revision,))

    def _clear(self, run_id: str) -> None:
        for table in ("parents", "metrics", "tags", "words"):
            self._db.execute(f"DELETE FROM {table} WHERE id = ?", (run_id,))

    def _base(self, model: str) -> str:
        found = self._one("SELECT base FROM runs WHERE id = ? AND base IS NOT NULL", model)
        return found[0] if found else model

    def _rebase(self, run_id: str) -> None:
        """Hand a base model down to the runs that use what this run produced."""
        todo, seen = [run_id], {run_id}
        while todo:
            model = todo.pop()
            base = self._base(model)
            query = "SELECT id FROM runs WHERE model = ? AND base != ?"
            below = [each for (each,) in self._db.execute(query, (model, base)).fetchall() if each not in seen]
            for each in below:
                self._db.execute("UPDATE runs SET base = ? WHERE id = ?", (base, each))
            todo += below
            seen.update(below)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def metrics(run: Run) -> Iterator[tuple[str, str, float]]:
    """Name, subject and value of what can be asked for; the subject is empty for what the run hands over."""
    for (name, subject), measured in _asked_for(run).items():
        yield name.lower(), subject.lower(), measured.value


def handed_over(run: Run, name: str) -> Measurement | None:
    """What was measured of what the run hands over: of the healed model before the dense one, on test before select."""
    return _asked_for(run).get((name, ""))


def _asked_for(run: Run) -> dict[tuple[str, str], Measurement]:
    best: dict[tuple[str, str], tuple[tuple[int, int], Measurement]] = {}
    for measured in run.measurements:
        subject = HANDED_OVER.index(measured.subject) if measured.subject in HANDED_OVER else len(HANDED_OVER)
        split = SPLITS.index(measured.split) if measured.split in SPLITS else len(SPLITS)
        for key in ((measured.name, measured.subject), (measured.name, "")):
            if key not in best or (subject, split) < best[key][0]:
                best[key] = ((subject, split), measured)
    return {key: measured for key, (_, measured) in best.items()}


def _sql(filters: Filters, each: bool = False) -> tuple[str, list[Any]]:
    """The conditions of a query and their values.

    Args:
        filters: what is wanted.
        each: look for a measurement run by run, instead of taking all runs that have it.
    """
    conditions = []
    values: list[Any] = []
    for column, value in (
        ("kind", filters.kind),
        ("status", filters.status),
        ("model", filters.model),
        ("base", filters.base_model),
        ("data", filters.data),
        ("command", filters.command),
    ):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    for sign, moment in ((">=", filters.since), ("<=", filters.until)):
        if moment is not None:
            conditions.append(f"created {sign} ?")
            values.append(moment.timestamp())
    for condition in filters.where:
        if each:
            conditions.append(f"EXISTS (SELECT 1 FROM metrics WHERE id = runs.id AND {_met(condition)})")
        else:
            conditions.append(f"runs.id IN (SELECT id FROM metrics WHERE {_met(condition)})")
        values += [condition.name, condition.subject, condition.value]
    if not conditions:  # a run that is not readable has none of those fields and no measurement
        conditions.append("problem IS NULL")
    if filters.pinned is not None:
        conditions.append("pinned" if filters.pinned else "NOT pinned")
    for tag in filters.tags:
        conditions.append("runs.id IN (SELECT id FROM tags WHERE tag = ?)")
        values.append(tag)
    return " AND ".join(conditions), values


def _met(condition: Condition) -> str:
    return f"name = ? AND subject = ? AND value {condition.comparator} ?"  # one of the six that the type allows
