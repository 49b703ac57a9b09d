"""Pieces of work on the processes of a Ray cluster.

What pieces share goes into Ray's object store once, and each process reads it once: no folder has to be seen by all
machines. One process computes one piece at a time, so that what waits for a free process is known here, and not begun
twice as late behind a long one.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import ray
from ray.exceptions import RayError

from analyzers.errors import Cancelled, EngineFailed
from analyzers.executor import Executor
from analyzers.progress import Progress
from tools.cluster.failures import failures
from tools.cluster.line import Answer, Line, Listening
from tools.cluster.worker import Work, Worker, versions

Result = TypeVar("Result")

TICK = 0.1  # seconds between two looks whether the user wants to stop
HELD = 6  # objects that are kept in the store for pieces to come: a model, a task, a tokenizer and some samples
PATIENCE = 10.0  # seconds after which it is said that no process has started yet


@dataclass(eq=False)
class _Piece:
    """A piece, from when it is asked for to when it is done."""

    pool: "Pool"
    number: int
    function: Callable[..., Any]
    shared: tuple[Any, ...]
    item: Any
    arrived: Callable[[Any], None] | None
    answer: Answer | None = None

    def result(self, progress: Progress) -> Any:
        try:
            while self.answer is None:
                self.pool.step(progress, self.number)
        except (Cancelled, KeyboardInterrupt):
            self.pool.close()  # at once: what follows takes time, and all of it would be computed for nobody
            raise
        if self.answer.problem is not None:
            raise self.answer.problem
        return self.answer.value


class _Stored(NamedTuple):
    held: Any  # the object: while it is held, no other has its id
    key: int  # under which the processes hold it; never given twice
    reference: Any


class Pool(Executor):
    """Processes of a cluster that was connected to.

    Args:
        workers: how many processes.
        threads: of each; so many CPUs are asked of the cluster for it.
        named: how the user named the cluster, for messages.
    """

    elsewhere = True

    def __init__(self, workers: int, threads: int, named: str) -> None:
        self.workers, self._named = workers, named
        self.line: Any = ray.remote(Line).options(num_cpus=0).remote()
        actor: Any = ray.remote(Worker).options(num_cpus=threads, max_restarts=0)
        self._actors = [actor.remote(self.line, threads) for _ in range(workers)]
        self._starting = {each.about.remote(): each for each in self._actors}
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Any, _Piece]] = {}
        self._waiting: deque[_Piece] = deque()
        self._stored: OrderedDict[int, _Stored] = OrderedDict()  # by the id of the object
        self._listening = Listening(self.line)
        self._pieces = self._keys = 0
        self._since: float | None = time.monotonic()  # None: a process has started, or it was said that none has

    def map(
        self, function: Callable[..., Result], shared: Sequence[Any], items: Iterable[Any], progress: Progress
    ) -> Iterator[Result]:
        return self._in_order([self._add(function, shared, item) for item in items], progress)

    def submit(
        self, function: Callable[..., Result], shared: Sequence[Any], item: Any, arrived: Callable[[Result], None]
    ) -> _Piece:
        return self._add(function, shared, item, arrived)

    def _in_order(self, pieces: list[_Piece], progress: Progress) -> Iterator[Any]:
        try:
            for piece in pieces:
                yield piece.result(progress)
        finally:
            for piece in pieces:  # one raised: nobody will ask for the others
                with suppress(ValueError):
                    self._waiting.remove(piece)

    def _add(
        self,
        function: Callable[..., Any],
        shared: Sequence[Any],
        item: Any,
        arrived: Callable[[Any], None] | None = None,
    ) -> _Piece:
        self._pieces += 1
        piece = _Piece(self, self._pieces, function, tuple(shared), item, arrived)
        self._waiting.append(piece)
        return piece

    def step(self, progress: Progress, number: int) -> None:
        """Begin what can begin, wait a moment for what runs, and say how far the piece of this number is.

        Raises:
            Cancelled: the user stopped it.
            EngineFailed: a process died, or cannot do the work.
        """
        progress.check()
        with failures(self._named):
            while self._idle and self._waiting:
                self._begin(self._idle.pop(), self._waiting.popleft())
            self._say_that_it_waits(progress)
            under_way = [*self._starting, *self._running]
            done, _ = ray.wait(under_way, num_returns=len(under_way), timeout=0)
            if not done:
                done, _ = ray.wait(under_way, num_returns=1, timeout=TICK)
            self._listening.show(progress, number)
            for reference in done:
                self._finish(reference, progress, number)

    def _say_that_it_waits(self, progress: Progress) -> None:
        if self._since and time.monotonic() - self._since > PATIENCE and not self._idle and not self._running:
            self._since = None
            progress.say(f"{self._named} has not started a process yet: its CPUs may be busy with other work")

    def _begin(self, actor: Any, piece: _Piece) -> None:
        stored = [self._store(each) for each in piece.shared]
        shared = [(each.key, each.reference) for each in stored]
        live = [each.key for each in self._stored.values()]
        work = Work(piece.number, piece.function, shared, live, piece.item)
        self._running[actor.do.remote(work)] = (actor, piece)

    def _store(self, shared: Any) -> _Stored:
        if id(shared) not in self._stored:
            self._keys += 1
            self._stored[id(shared)] = _Stored(shared, self._keys, ray.put(shared))
        self._stored.move_to_end(id(shared))
        while len(self._stored) > HELD:
            self._stored.popitem(last=False)
        return self._stored[id(shared)]

    def _finish(self, reference: Any, progress: Progress, number: int) -> None:
        if reference in self._starting:
            self._check(ray.get(reference))
            self._idle.append(self._starting.pop(reference))
            return
        actor, piece = self._running.pop(reference)
        answer: Answer = ray.get(reference)
        if isinstance(answer.value, np.ndarray):  # of the store, which nobody may write to
            answer = Answer(answer.value.copy())
        self._idle.append(actor)
        if piece.number == number:
            self._listening.close(progress)
        if piece.arrived and answer.problem is None:
            piece.arrived(answer.value)
        piece.answer = answer

    def _check(self, theirs: dict[str, str]) -> None:
        mine = versions()
        if other := [
            f"{name} is {theirs[name]} there and {mine[name]} here" for name in mine if theirs[name] != mine[name]
        ]:
            raise EngineFailed(
                f"{self._named} has other versions, which may give other numbers ({'; '.join(other)}); all machines need the "
                "same: install layerwise[ray] there with the same constraints"
            )

    def close(self) -> None:
        """End the processes, whatever they do."""
        for actor in [*self._actors, self.line]:
            with suppress(RayError):
                ray.kill(actor)
