"""Processes that die and processes that are ended. After the other tests, since these end the pool of all."""

import threading
import time
from typing import Any

import pytest

from analyzers.errors import Cancelled, EngineFailed
from analyzers.progress import Progress
from tests.tools.cluster import pieces


def test_a_worker_that_dies_is_one_clear_error(free_cluster: Any) -> None:
    from tools.cluster.pool import Pool

    one = Pool(1, 1, "ray:there:6379")
    try:
        with pytest.raises(EngineFailed) as told:
            list(one.map(pieces.dying, [None], [1], Progress()))
    finally:
        one.close()
    assert "a process of ray:there:6379 died" in str(told.value)
    assert "same command" in str(told.value)
    assert told.value.exit_code == 1


def test_who_stops_ends_the_processes_at_once(free_cluster: Any) -> None:
    from ray.exceptions import RayActorError

    from tools.cluster.pool import Pool

    one = Pool(1, 1, "ray")
    list(one.map(pieces.twice, [1], [1], Progress()))
    progress = Progress()
    stopped: list[float] = []

    def stop() -> None:
        stopped.append(time.monotonic())
        progress.cancel()

    threading.Timer(0.3, stop).start()
    with pytest.raises(Cancelled):
        list(one.map(pieces.sleeping, [None], [30.0] * 4, progress))
    with pytest.raises(RayActorError):
        free_cluster.get(next(iter(one._running)), timeout=2)
    assert time.monotonic() - stopped[0] < 2
