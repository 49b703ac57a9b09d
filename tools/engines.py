"""Where the work of a workflow is computed: in this process, or on a Ray cluster (`--engine ray`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from analyzers.errors import UsageError
from analyzers.executor import Executor
from analyzers.progress import Progress
from analyzers.records import TrainRequest, TrainResult
from tools.workspace import Workspace

if TYPE_CHECKING:  # they load torch, and the command line looks here for the names
    from analyzers.datasets.splits import Splits
    from analyzers.models import Loaded

LOCAL, RAY = "local", "ray"


class Engine:
    """This process."""

    name = LOCAL  # as the record of a run keeps it

    @property
    def executor(self) -> Executor:
        return Executor()

    def train(
        self,
        loaded: "Loaded",
        splits: "Splits",
        settings: TrainRequest,
        folder: Path,
        progress: Progress,
        *,
        resume: bool,
    ) -> TrainResult:
        """`analyzers.training.train`, with all that this engine has.

        Raises:
            LayerwiseError: what that raises.
            EngineFailed: a process died.
        """
        from analyzers.training import train

        return train(loaded.model, loaded.task, loaded.tokenizer, splits, settings, folder, progress, resume=resume)


def check_engine(wanted: str) -> str:
    """The name of an engine, if it is one.

    Raises:
        UsageError: there is none of that name.
    """
    if wanted in (LOCAL, RAY) or (wanted.startswith(f"{RAY}:") and wanted != f"{RAY}:"):
        return wanted
    raise UsageError(
        f"no engine {wanted!r}; there are: local (this process), ray (a cluster on this machine, started for the occasion), "
        "ray:HOST:PORT (a running cluster) and ray:auto (the one that this machine is part of)"
    )


@contextmanager
def engine_of(workspace: Workspace) -> Iterator[Engine]:
    """The engine that the workspace asks for; what it started ends on leaving.

    Raises:
        UsageError: there is none of that name, or its packages are not installed.
        EngineFailed: the cluster cannot be reached.
    """
    kind, _, address = check_engine(workspace.engine).partition(":")
    if kind == LOCAL:
        yield Engine()
        return
    from tools.cluster.engine import ray_engine

    with ray_engine(address or None, workspace) as engine:
        yield engine
