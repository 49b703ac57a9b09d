"""One local cluster with two workers for all tests that compute on one."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analyzers.progress import Progress
from tests.tools.cluster import pieces
from tools.cluster.connection import connected

ROOT = Path(__file__).parents[3]
WORKERS = 2


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """Ray, connected to a cluster of this test session."""
    path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(ROOT), path))
    )  # workers import the pieces of the tests
    try:
        with connected(None, WORKERS) as ray:
            node = ray._private.worker._global_node
            started = [each.process for group in node.all_processes.values() for each in group]
            yield ray
        for process in started:  # Ray ends them and does not take leave: Python would warn in whatever test comes then
            process.wait(10)
    finally:
        os.environ.pop("PYTHONPATH")
        if path is not None:
            os.environ["PYTHONPATH"] = path


class Shared:
    """One pool for all tests that need one, until a test needs its CPUs: to start processes takes longer than most tests."""

    def __init__(self) -> None:
        self.pool: Any = None

    def get(self) -> Any:
        if self.pool is None:
            from tools.cluster.pool import Pool

            self.pool = Pool(WORKERS, 1, "ray")
            list(self.pool.map(pieces.slow_first, [0], [0] * WORKERS, Progress()))  # all have started
        return self.pool

    def close(self) -> None:
        if self.pool is not None:
            self.pool.close()
        self.pool = None


@pytest.fixture(scope="session")
def shared(cluster: Any) -> Iterator[Shared]:
    made = Shared()
    yield made
    made.close()


@pytest.fixture
def pool(shared: Shared) -> Any:
    return shared.get()


@pytest.fixture
def free_cluster(cluster: Any, shared: Shared) -> Any:
    """The cluster, with nothing on it."""
    shared.close()
    return cluster


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As the workers have: sums are then made in the same order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Heard(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.steps: list[tuple[Any, ...]] = []

    def started(self, step: str, total: int) -> None:
        self.steps.append(("started", step, total))

    def advanced(self, step: str, done: int, total: int) -> None:
        self.steps.append(("advanced", step, done, total))

    def finished(self, step: str) -> None:
        self.steps.append(("finished", step))

    def say(self, text: str) -> None:
        self.said.append(text)
