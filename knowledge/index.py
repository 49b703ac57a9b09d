"""The searchable history in ChromaDB: vectors of what the runs are about. They may be thrown away and made again.

The catalogue numbers every change of a run; the index remembers up to which number it has followed, and catches up when
something is searched for. So a run is saved without Chroma, and an index that was away misses nothing.
"""

import json
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from analyzers.errors import StorageError
from knowledge.chroma import FAILURES, Folder, Lost, Place, Server
from knowledge.describe import describe
from knowledge.disk import Disk
from knowledge.embedders import choose
from knowledge.filters import Filters
from knowledge.freshness import Freshness

BATCH = 1000  # runs embedded and written at once
PATIENCE = 600  # seconds that another process may hold the lock, which is what building 100,000 runs takes
_one_at_a_time = threading.RLock()


class Index:
    """The collection of one home. It is used under a lock that all processes respect, and stays open between uses.

    Args:
        home: its index lies in `index/chroma`.
        url: of a Chroma server to use instead.
        embedder_folder: a local MiniLM, or None.
        catalogue: says which runs there are and what changed.
        disk: the records.
        notice: called with each line that the user should see.
    """

    def __init__(
        self,
        home: Path,
        url: str | None,
        embedder_folder: Path | None,
        catalogue: Freshness,
        disk: Disk,
        notice: Callable[[str], None],
    ) -> None:
        self._place: Place = Server(url, home) if url else Folder(home / "index" / "chroma")
        self._lock = FileLock(home / "index" / "chroma.lock")
        self._catalogue, self._disk, self._notice = catalogue, disk, notice
        self._collection: Any = None
        self._seen: Any = None  # state and mark of the place when the collection was opened
        self._embedder, problem = choose(embedder_folder)
        if problem:
            notice(problem)

    def nearest(self, text: str, filters: Filters, limit: int) -> list[tuple[str, float]]:
        """Ids and cosine similarities of the runs that fit the filters, the best first.

        Raises:
            StorageError: the index cannot be built or read, its server does not answer, or another process holds it.
        """
        with self._locked():
            for attempt in range(3):
                try:
                    if attempt == 2:
                        self._build()
                    return self._nearest(text, filters, limit)
                except Lost as problem:
                    self._collection = None  # open it anew; if that does not help, build it
                    if attempt == 1:
                        self._notice(f"{problem}; built again from {self._catalogue.ask(lambda c: c.count())} records")
                    lost = problem
            raise StorageError(f"{lost}; remove it and try again") from lost

    def rebuild(self) -> int:
        """Throw the index away and make it from the records; the number of runs in it.

        Raises:
            StorageError: as for `nearest`.
        """
        with self._locked():
            try:
                return self._build()
            except Lost as problem:
                raise StorageError(f"{problem}; free some space or choose another place with --home") from problem

    # --- searching ----------------------------------------------------------------------------------------------------

    def _nearest(self, text: str, filters: Filters, limit: int) -> list[tuple[str, float]]:
        wanted, revision = self._catalogue.ask(lambda c: (self._wanted(c, filters), c.revision()))
        expected = min(limit, wanted if isinstance(wanted, int) else len(wanted))
        if not expected:
            return []
        self._follow()
        among = {} if isinstance(wanted, int) else {"ids": wanted}
        with self._failing():
            found = self._collection.query(
                query_embeddings=self._embedder([text]), n_results=expected, include=["distances"], **among
            )
        hits = [(name, 1 - far) for name, far in zip(found["ids"][0], (found["distances"] or [[]])[0], strict=True)]
        if len(hits) < expected and revision == self._catalogue.ask(lambda c: c.revision()):
            raise Lost(f"the search index gave {len(hits)} of {expected} hits")  # the rows are there, the vectors gone
        return hits

    @staticmethod
    def _wanted(catalogue: Any, filters: Filters) -> int | list[str]:
        """The runs to choose among; only their number where all are meant.

        Chroma's own conditions took 213 ms among 100,000 runs, a list of 50,000 ids 45 ms: docs/log.md.
        """
        return catalogue.count() if filters == Filters() else catalogue.ids(filters)

    # --- following the catalogue --------------------------------------------------------------------------------------

    def _follow(self) -> None:
        state = self._state()
        seen = (state, self._place.mark())
        if self._collection is None or seen != self._seen:
            self._collection = self._reopened(state)
        at = self._followed()
        (changed, gone), revision = self._catalogue.ask(lambda c: (c.since(at), c.revision()), fresh=False)
        if changed or gone:
            self._write(changed, gone, revision)
        elif revision != at:
            self._remember(revision)
        self._seen = (self._state(), self._place.mark())

    def _reopened(self, state: dict[str, Any] | None) -> Any:
        if state is None:
            self._build()  # the first search of a home is no accident and needs no words
            return self._collection
        if state["collection"] != self._name:
            raise Lost("the search index is of another embedder")
        with self._failing():
            client = self._place.open()
            if self._name not in [each.name for each in client.list_collections()]:
                raise Lost("the search index is missing")
            collection = self._made(client)
            if str(collection.id) != state["id"]:
                raise Lost("the search index is not the one that was built for this home")
            if not state["writing"] and (count := collection.count()) != state["count"]:
                raise Lost(f"the search index holds {count} of {state['count']} runs")
        return collection

    def _build(self) -> int:
        with self._failing():
            names = [self._name]
            client = None
            if isinstance(self._place, Server):
                client = self._place.open()
                names = [each.name for each in client.list_collections() if each.name in self._names_before()]
            self._collection = None
            self._place.clear(client, names)
            client = client or self._place.open()
            self._collection = self._made(client)
        self._remember(0, writing=True)
        (ids, _), revision = self._catalogue.ask(lambda c: (c.since(0), c.revision()))
        self._write(ids, [], revision)
        self._seen = (self._state(), self._place.mark())
        return len(ids)

    def _names_before(self) -> set[str]:
        state = self._state()
        return {self._name, str(state["collection"])} if state else {self._name}

    def _write(self, changed: list[str], gone: list[str], revision: int) -> None:
        self._remember(self._followed(), writing=True)
        todo = iter(changed)
        # While one batch is written, which Chroma does outside Python's lock, the next is put into numbers.
        with self._failing(), ThreadPoolExecutor(1) as writer:
            written: Future[None] | None = None
            while batch := list(islice(todo, BATCH)):
                texts = self._texts(batch)
                vectors = self._embedder(list(texts.values())) if texts else []
                if written:
                    written.result()
                written = writer.submit(self._upsert, list(texts), vectors)
            if written:
                written.result()
            while batch := gone[:BATCH]:
                self._collection.delete(ids=batch)
                gone = gone[BATCH:]
        self._remember(revision)

    def _texts(self, run_ids: list[str]) -> dict[str, str]:
        known = self._catalogue.ask(lambda c: c.words(run_ids), fresh=False)
        entries = self._disk.entries([each for each in run_ids if each not in known])
        read = {each.id: describe(each.run, each.labels) for each in entries if each.run}
        return known | read

    def _upsert(self, run_ids: list[str], vectors: Any) -> None:
        if run_ids:
            self._collection.upsert(ids=run_ids, embeddings=vectors)
            self._catalogue.ask(lambda c: c.forget_words(run_ids), fresh=False)

    def _remember(self, revision: int, writing: bool = False) -> None:
        """Keep how far the index is; each writing has a mark of its own, so that other processes open it anew."""
        with self._failing():
            count = None if writing else self._collection.count()
        state = {
            "collection": self._name,
            "id": str(self._collection.id),
            "revision": revision,
            "count": count,
            "writing": writing,
            "mark": secrets.token_hex(4),
        }
        self._catalogue.ask(lambda c: c.note(self._fact, json.dumps(state)), fresh=False)

    def _state(self) -> dict[str, Any] | None:
        found = self._catalogue.ask(lambda c: c.fact(self._fact), fresh=False)
        return json.loads(found) if found else None

    def _followed(self) -> int:
        """The revision up to which the index has followed the catalogue; 0: it has nothing."""
        state = self._state()
        return int(state["revision"]) if state else 0

    @property
    def _fact(self) -> str:
        return f"index in {self._place.name}"

    @property
    def _name(self) -> str:
        return self._place.collection(self._embedder.name())

    def _made(self, client: Any) -> Any:
        return client.get_or_create_collection(
            self._name, embedding_function=self._embedder, configuration={"hnsw": {"space": "cosine"}}
        )

    # --- failing and locking ------------------------------------------------------------------------------------------

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except FAILURES as problem:
            raise self._place.failed(problem) from problem

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _one_at_a_time:
            try:
                self._acquire()
            except OSError as problem:
                if not isinstance(self._place, Folder):
                    raise StorageError(f"cannot write {self._lock.lock_file}: {problem.strerror}") from problem
                self._work_on_a_copy(problem)
            try:
                yield
            finally:
                self._lock.release()

    def _acquire(self) -> None:
        path = Path(self._lock.lock_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=PATIENCE)
        except Timeout:
            raise StorageError(f"{path} has been held for ten minutes; end its process") from None

    def _work_on_a_copy(self, problem: OSError) -> None:
        if not isinstance(self._place, Folder):
            raise problem
        folder = self._place.folder
        try:
            copied = self._place.copy()
            self._lock = FileLock(copied.with_suffix(".lock"))
            self._acquire()
        except OSError as second:
            raise StorageError(f"cannot write {folder} or a copy of it: {second.strerror}") from second
        self._notice(
            f"{folder} cannot be written ({problem.strerror}): searching in a copy, which goes with this process"
        )
