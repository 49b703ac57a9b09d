"""The engine `ray`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyzers.datasets.splits import Splits
from analyzers.errors import EngineFailed, UsageError
from analyzers.models import Loaded, pick_device
from analyzers.progress import Progress
from analyzers.records import TrainRequest, TrainResult
from tools.cluster.connection import connected
from tools.engines import RAY, Engine
from tools.workspace import Workspace

if TYPE_CHECKING:
    from tools.cluster.pool import Pool


class RayEngine(Engine):
    """A cluster that was connected to.

    Args:
        ray: the module.
        named: how the user named it.
        threads: of each process; the cluster has as many processes as it has room for by CPUs.
    """

    def __init__(self, ray: Any, named: str, threads: int) -> None:
        cpus = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        self.workers = sum(count // threads for count in cpus)
        if not self.workers:
            raise EngineFailed(
                f"no machine of {named} has the {threads} CPUs that a process asks for; set LAYERWISE_THREADS to fewer, or add "
                "a machine with: ray start --address=HOST:PORT"
            )
        self.name = f"{RAY}, {self.workers} {'worker' if self.workers == 1 else 'workers'}"
        self._named, self._threads = named, threads

    @cached_property
    def executor(self) -> "Pool":
        # When it is first asked for, and not before: a training needs the same CPUs.
        from tools.cluster.pool import Pool

        return Pool(self.workers, self._threads, self._named)

    def train(
        self, loaded: Loaded, splits: Splits, settings: TrainRequest, folder: Path, progress: Progress, *, resume: bool
    ) -> TrainResult:
        from tools.cluster.training import train

        return train(
            loaded, splits, settings, folder, progress, self.workers, self._threads, self._named, resume=resume
        )

    def close(self) -> None:
        if "executor" in self.__dict__:
            self.executor.close()


@contextmanager
def ray_engine(address: str | None, workspace: Workspace) -> Iterator[RayEngine]:
    """Connect to a cluster, or start one on this machine.

    Raises:
        UsageError: Ray is not installed, the address is none, or the device is no CPU.
        EngineFailed: the cluster cannot be reached, or has too few CPUs.
    """
    if (device := pick_device(workspace.device)).type != "cpu":
        raise UsageError(
            f"--engine ray computes on CPUs, and the device here is {device}; set LAYERWISE_DEVICE=cpu, or use --engine local"
        )
    with connected(address, _cores()) as ray:
        engine = RayEngine(ray, f"{RAY}:{address}" if address else RAY, workspace.threads or 1)
        try:
            yield engine
        finally:
            engine.close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
