"""Quality with intervals, latency in turn, size."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from analyzers.coalitions import Coalitions, Losses
from analyzers.executor import Executor
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import Estimate, Measurement, Outcome
from analyzers.statistics import median_estimate, statistic_estimate
from analyzers.tasks import Batch, Task
from analyzers.weights import parameter_count

UNITS = {"accuracy": "", "f1": "", "loss": "nats", "perplexity": ""}


def losses_of(
    layered: LayeredModel,
    task: Task,
    batches: Sequence[Batch],
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Losses:
    """Per-example losses of the whole model."""
    coalitions = Coalitions(layered, task, batches, executor=executor)
    return coalitions.measure([coalitions.everything], progress, "evaluating")[0]


def outcome(task: Task, losses: Losses, seed: int = 0) -> Outcome:
    """Metric and mean loss with their intervals."""
    return Outcome(
        metric=statistic_estimate((losses.loss, losses.weight, losses.hit), task.metric_of, seed),
        loss=statistic_estimate((losses.loss,), lambda loss: float(loss.mean()), seed),
    )


def quality(task: Task, losses: Losses, subject: str, split: str, seed: int = 0) -> list[Measurement]:
    """Metric and loss as measurements of a subject on a split."""
    found = outcome(task, losses, seed)
    return [
        _measurement(task.metric, subject, split, found.metric, len(losses.loss)),
        _measurement("loss", subject, split, found.loss, len(losses.loss)),
    ]


def kept_share(task: Task, dense: Losses, compressed: Losses, subject: str, split: str, seed: int = 0) -> Measurement:
    """How much of the dense metric is kept (for a perplexity: by how much it grows), paired by example."""
    columns = (dense.loss, dense.weight, dense.hit, compressed.loss, compressed.weight, compressed.hit)

    def share(*rows: np.ndarray) -> float:
        before = task.metric_of(*rows[:3])
        return task.metric_of(*rows[3:]) / before if before else float("nan")

    name = f"{task.metric}_ratio"
    return _measurement(name, subject, split, statistic_estimate(columns, share, seed), len(dense.loss))


def parameters(model: torch.nn.Module, subject: str) -> Measurement:
    return Measurement(name="parameters", subject=subject, value=parameter_count(model))


def disk(folder: Path, subject: str) -> Measurement:
    """Size of the weights on disk."""
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return Measurement(name="disk_mb", subject=subject, value=size / 1e6, unit="MB")


@torch.no_grad()
def latencies(
    subjects: dict[str, Callable[[], None]], device: torch.device, repetitions: int, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    """Seconds of each call, taken in turn (A B A B …), so that a machine whose speed drifts slows all alike.

    Each subject is called twice before the clock starts.

    Returns:
        subject -> (repetitions,) seconds; row i of each was taken in the same round.
    """
    for call in subjects.values():
        call()
        call()
    seconds: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in (progress or Progress()).track(range(repetitions), repetitions, "timing"):
        for name, call in subjects.items():
            _wait(device)
            start = time.perf_counter()
            call()
            _wait(device)
            seconds[name].append(time.perf_counter() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def latency_measurements(seconds: dict[str, np.ndarray], batch: Batch) -> list[Measurement]:
    """Median latency and throughput of each subject, and the median of the pairwise ratios to the first: its speed-up.

    Args:
        seconds: from `latencies`, the slow subject first.
        batch: what was timed, for the conditions.
    """
    rows, timed = len(batch), shape(batch)
    found = []
    for name, values in seconds.items():
        repetitions = len(values)
        milliseconds, rate = median_estimate(values * 1000), median_estimate(rows / values)
        found.append(_measurement("latency_ms", name, None, milliseconds, repetitions, "ms", timed))
        found.append(_measurement("throughput", name, None, rate, repetitions, "texts/s", timed))
    first, *others = seconds
    for name in others:
        ratio = median_estimate(seconds[first] / seconds[name])
        found.append(_measurement("speedup", f"{name}/{first}", None, ratio, len(seconds[name]), "×", timed))
    return found


def shape(batch: Batch) -> str:
    """What a latency holds for."""
    rows, tokens = batch.inputs["attention_mask"].shape
    return f"{rows} text{'' if rows == 1 else 's'} of {tokens} tokens"


def forward_call(model: torch.nn.Module, batch: Batch) -> Callable[[], None]:
    """One forward pass over a batch, to be timed."""

    @torch.no_grad()
    def call() -> None:
        model(**batch.inputs)

    return call


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _measurement(
    name: str,
    subject: str,
    split: str | None,
    estimate: Estimate,
    n: int,
    unit: str | None = None,
    conditions: str = "",
) -> Measurement:
    unit = UNITS.get(name, "") if unit is None else unit
    return Measurement(
        name=name,
        subject=subject,
        split=split,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        unit=unit,
        n=n,
        conditions=conditions,
    )
