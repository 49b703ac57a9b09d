"""A process of the cluster that computes pieces, one at a time."""

import pickle
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, NamedTuple

import ray
import torch

from tools.cluster.line import Answer, Telling

ALIKE = ("layerwise", "torch", "transformers", "numpy")  # other versions may give other numbers


class Work(NamedTuple):
    """A piece as it travels."""

    number: int
    function: Callable[..., Any]
    shared: list[tuple[int, Any]]  # key and reference of each object; those that were read before are not read again
    live: list[int]  # keys that may be asked for again; all others are forgotten
    item: Any


class Worker:
    """An actor.

    Args:
        line: to whoever started the work.
        threads: of this process.
    """

    def __init__(self, line: Any, threads: int) -> None:
        torch.set_num_threads(threads)
        self._line, self._threads = line, threads
        self._held: dict[int, Any] = {}

    def about(self) -> dict[str, str]:
        """Versions of what numbers depend on."""
        return versions()

    def do(self, work: Work) -> Answer:
        torch.set_num_threads(self._threads)  # Ray may call from another thread than before
        self._held = {key: held for key, held in self._held.items() if key in work.live}
        for key, reference in work.shared:
            if key not in self._held:
                self._held[key] = ray.get(reference)
        shared = [self._held[key] for key, _ in work.shared]
        try:
            return Answer(work.function(*shared, work.item, Telling(self._line, work.number)))
        except Exception as problem:  # noqa: BLE001 - whatever it is, it is raised where the piece was asked for
            return Answer(problem=portable(problem))


def versions() -> dict[str, str]:
    """Of Python and of the libraries that have to be alike on all machines."""
    return {"python": platform.python_version(), **{name: version(name) for name in ALIKE}}


def portable(problem: Exception) -> Exception:
    """An exception that can be sent; those of some libraries cannot."""
    problem = problem.with_traceback(None)
    problem.__cause__ = problem.__context__ = None
    try:
        pickle.loads(pickle.dumps(problem))
    except Exception:  # noqa: BLE001 - any exception's own pickling may raise anything
        return RuntimeError(f"{type(problem).__name__}: {problem}")
    return problem
