"""Training by Ray Train: processes that hold the same model and share the rows of each batch.

The folder of the run has to be on a file system that all machines see: the first process writes there what a training in
this process writes, in the same form, so that either goes on with what the other left.
"""

import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import ray
import torch
from ray.exceptions import RayError
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from analyzers.datasets.splits import Splits
from analyzers.errors import Cancelled, EngineFailed, StorageError
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.records import TrainRequest, TrainResult
from analyzers.replicas import Distributed
from analyzers.training import load_best
from analyzers.training import train as fit
from tools.cluster.failures import died, failures, told
from tools.cluster.line import Answer, Line, Listening, Telling
from tools.cluster.worker import portable

TICK = 0.1  # seconds between two looks whether the user wants to stop
SAVING = 1.2  # seconds that the first process gets to save its state when the user stops


def train(
    loaded: Loaded,
    splits: Splits,
    settings: TrainRequest,
    folder: Path,
    progress: Progress,
    workers: int,
    threads: int,
    named: str,
    *,
    resume: bool,
) -> TrainResult:
    """`analyzers.training.train` in several processes; on return the model has the best weights.

    Raises:
        LayerwiseError: what that raises.
        StorageError: a machine does not see the folder.
        EngineFailed: a process died.
        Cancelled: the user stopped it; the state is saved.
    """
    with failures(named):
        line: Any = ray.remote(Line).options(num_cpus=0).remote()
        given = ray.put((loaded, splits, settings, folder.absolute(), resume, threads))
        with tempfile.TemporaryDirectory(prefix=".ray-", dir=folder.parent) as storage:
            trainer = TorchTrainer(
                _work,
                train_loop_config={"given": [given], "line": line, "named": named},
                torch_config=TorchConfig(backend="gloo"),
                scaling_config=ScalingConfig(num_workers=workers, resources_per_worker={"CPU": threads}),
                run_config=RunConfig(name="training", storage_path=storage),
            )
            result = _followed(trainer, line, progress, named)
    load_best(loaded.model, folder)
    loaded.model.eval()
    return result


def _followed(trainer: Any, line: Any, progress: Progress, named: str) -> TrainResult:
    """Wait for its end in this thread, which is the one that is stopped.

    A thread of its own waits for Ray Train, which would take Ctrl-C for itself.
    """
    ended: list[BaseException | None] = []

    def run() -> None:
        try:
            trainer.fit()
        except BaseException as problem:  # noqa: BLE001 - whatever it is, the other thread says it
            ended.append(problem)
        else:
            ended.append(None)

    threading.Thread(target=run, daemon=True).start()
    listening = Listening(line)
    while True:
        over = bool(ended)  # before the line is asked: what it holds then is all there will be
        try:
            progress.check()
            listening.show(progress, 0)
            answer: Answer | None = ray.get(line.ended.remote())
            time.sleep(0 if over or answer else TICK)
        except (Cancelled, KeyboardInterrupt):
            _stop(line)
            raise
        if answer and answer.problem:
            raise answer.problem
        if over and answer and ended[0] is None:
            listening.close(progress)
            return TrainResult.model_validate(answer.value)
        if over:
            raise EngineFailed(told(ended[0] or RuntimeError("it ended without a result"), named)) from ended[0]


def _stop(line: Any) -> None:
    """Let the first process save where it is. The engine then ends all of them."""
    with suppress(RayError):
        line.stop.remote()
        limit = time.monotonic() + SAVING
        while ray.get(line.ended.remote()) is None and time.monotonic() < limit:
            time.sleep(TICK / 4)


def _work(config: dict[str, Any]) -> None:
    """What each process does."""
    line = config["line"]
    loaded, splits, settings, folder, resume, threads = ray.get(config["given"][0])
    torch.set_num_threads(threads)
    replicas = Distributed()
    progress = Telling(line, 0, asks=True) if replicas.leads else Progress()
    try:
        if not folder.is_dir():
            raise StorageError(
                f"a machine of the cluster does not see {folder}, where the training is kept; put the home on a file system that "
                "all of them see (--home), or train with --engine local"
            )
        given = (loaded.model, loaded.task, loaded.tokenizer, splits, settings, folder, progress)
        result = fit(*given, resume=resume, replicas=replicas)
    except Exception as problem:
        if replicas.leads or isinstance(problem, StorageError):  # else it is only that the first one has gone
            lost = isinstance(problem, RuntimeError) and "gloo" in str(problem)  # what the others said did not come
            known = EngineFailed(died(config["named"])) if lost else portable(problem)
            ray.get(line.end.remote(Answer(problem=known)))
        raise
    if replicas.leads:
        ray.get(line.end.remote(Answer(result.model_dump(mode="json"))))
