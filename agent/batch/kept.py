"""How far a batch is, on disk: so that the same script goes on where it was stopped, and no two processes do it at once.

Runs are found again in the history. What is kept here are the answers of language models, which leave no run of their own.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import Field, ValidationError

from agent.batch.expansion import Task
from agent.batch.outcomes import Result
from analyzers.errors import StorageError, UsageError
from analyzers.records import Record
from analyzers.storage import storage_errors
from knowledge.files import write_whole

FOLDER = "batches"  # in the home


class _State(Record):
    ended: bool = False  # every step had its turn; the next start begins anew
    results: dict[str, Result] = Field(default={})  # by what was asked


class Kept:
    """The state of one script with its variables."""

    def __init__(self, path: Path, state: _State) -> None:
        self._path = path
        self._state = state

    @property
    def begun(self) -> bool:
        """Whether an earlier start of the same script was stopped."""
        return bool(self._state.results)

    def find(self, asked: Record) -> Result | None:
        return self._state.results.get(_key(asked))

    def keep(self, asked: Record, result: Result) -> None:
        """Raises:
        StorageError: the disk is full or not writable.
        """
        self._state = _State(results={**self._state.results, _key(asked): result})
        self._write()

    def end(self) -> None:
        """Every step had its turn: the next start asks again."""
        if self._state.results:
            self._state = _State(ended=True)
            with suppress(StorageError):  # at worst an answer is taken once more
                self._write()

    def _write(self) -> None:
        write_whole(self._path, self._state.model_dump_json().encode())


@contextmanager
def kept(tasks: list[Task], home: Path, fresh: bool) -> Iterator[Kept]:
    """The state of these tasks, which no other process changes meanwhile.

    Raises:
        UsageError: another process does the same batch.
        StorageError: the home is not writable.
    """
    told = json.dumps([[task.name, task.step.verb, task.given] for task in tasks], sort_keys=True, default=str)
    path = home / FOLDER / f"{hashlib.sha256(told.encode()).hexdigest()[:16]}.json"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                "another process does this batch; wait for it, or look at its runs: layerwise runs list"
            ) from None
    try:
        yield Kept(path, _State() if fresh else _read(path))
    finally:
        lock.release()


def _read(path: Path) -> _State:
    try:
        state = _State.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return _State()
    return _State() if state.ended else state


def _key(asked: Record) -> str:
    return hashlib.sha256(f"{type(asked).__name__} {asked.model_dump_json()}".encode()).hexdigest()
