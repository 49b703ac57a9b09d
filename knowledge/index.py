"""The searchable history in ChromaDB: a copy of the records, which may be thrown away and built again from them."""

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import chromadb
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings
from chromadb.errors import ChromaError
from filelock import FileLock, Timeout

from analyzers.errors import StorageError
from analyzers.records import Run
from knowledge.describe import describe
from knowledge.embedders import choose

CHROMA_FAILS_WITH = (ChromaError, ValueError, RuntimeError, OSError, sqlite3.Error)
BATCH = 256  # records embedded and written at once
# Chroma caches its clients for the whole process, by path; the cache must be emptied to see what other processes wrote.
_one_at_a_time = threading.RLock()


class Index:
    """The collection of one home. Each operation opens it anew under a lock that all processes respect.

    Args:
        folder: where Chroma keeps its files.
        embedder_folder: a local MiniLM, or None.
        notice: called with each line that the user should see.
    """

    def __init__(self, folder: Path, embedder_folder: Path | None, notice: Callable[[str], None]) -> None:
        self.folder = folder
        self._lock = FileLock(folder.with_suffix(".lock"))
        self._embedder, problem = choose(embedder_folder)
        if problem:
            notice(problem)

    def write(self, items: list[tuple[Run, str]]) -> None:
        """Insert or replace runs, each with the stamp of its record.

        Raises:
            StorageError: the index cannot be written, or another process holds its lock for two minutes.
        """
        with self._opened() as client:
            self._upsert(self._collection(client), items)

    def remove(self, run_ids: list[str]) -> None:
        """Forget runs.

        Raises:
            StorageError: as for `write`.
        """
        with self._opened() as client:
            self._collection(client).delete(ids=run_ids)

    def nearest(self, text: str, where: dict[str, Any] | None, limit: int) -> list[tuple[str, float]]:
        """Ids and cosine similarities, the best first.

        Raises:
            StorageError: the index is damaged, or gave fewer hits than it holds.
        """
        with self._opened() as client:
            collection = self._collection(client)
            expected = min(limit, len(collection.get(where=where, include=[])["ids"]))
            if not expected:
                return []
            found = collection.query(query_texts=[text], n_results=limit, where=where, include=["distances"])
            distances = found["distances"] or [[]]
            hits = [(name, 1 - distance) for name, distance in zip(found["ids"][0], distances[0], strict=True)]
            if len(hits) < expected:  # vectors are gone while the rows are still there
                raise StorageError(f"the search index gave {len(hits)} of {expected} hits")
            return hits

    def state(self) -> dict[str, str] | None:
        """Stamp of each indexed run; None when nothing was indexed with the present embedder.

        Raises:
            StorageError: the index is damaged.
        """
        with self._opened() as client:
            if self._name not in [collection.name for collection in client.list_collections()]:
                return None
            rows = self._collection(client).get(include=["metadatas"])
            return {
                name: str(fields["stamp"]) for name, fields in zip(rows["ids"], rows["metadatas"] or [], strict=True)
            }

    def rebuild(self, runs: Iterator[tuple[Run, str]]) -> int:
        """Throw the index away and build it from the records; the number of runs in it.

        Raises:
            StorageError: the index cannot be written.
        """
        with self._locked():
            SharedSystemClient.clear_system_cache()
            shutil.rmtree(self.folder, ignore_errors=True)
            with self._opened() as client:
                collection = self._collection(client)
                count = 0
                while batch := list(islice(runs, BATCH)):
                    self._upsert(collection, batch)
                    count += len(batch)
                return count

    @property
    def _name(self) -> str:
        return f"runs-{self._embedder.name()}"

    def _collection(self, client: Any) -> Any:
        return client.get_or_create_collection(
            self._name, embedding_function=self._embedder, configuration={"hnsw": {"space": "cosine"}}
        )

    @staticmethod
    def _upsert(collection: Any, items: list[tuple[Run, str]]) -> None:
        collection.upsert(
            ids=[run.id for run, _ in items],
            documents=[describe(run) for run, _ in items],
            metadatas=[
                {"kind": run.kind, "status": run.status, "model": run.model, "data": run.data or "", "stamp": stamp}
                for run, stamp in items
            ],
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with _one_at_a_time:
            try:
                self.folder.parent.mkdir(parents=True, exist_ok=True)
                self._lock.acquire(timeout=120)
            except Timeout:
                raise StorageError(f"{self._lock.lock_file} has been held for two minutes; end its process") from None
            except OSError as problem:
                raise StorageError(f"cannot write {self._lock.lock_file}: {problem.strerror}") from problem
            try:
                yield
            finally:
                self._lock.release()

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with self._locked():
            try:
                SharedSystemClient.clear_system_cache()
                yield chromadb.PersistentClient(str(self.folder), settings=Settings(anonymized_telemetry=False))
            except CHROMA_FAILS_WITH as problem:
                raise StorageError(f"the search index in {self.folder} failed: {problem}") from problem
