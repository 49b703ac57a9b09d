"""Depth × precision: the best sets of a search, measured with their weights at lower precisions too."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from analyzers.coalitions import Coalitions, Kept
from analyzers.compression.quantization import PLAIN, check_available, names, quantized
from analyzers.errors import BadTarget
from analyzers.evaluation import forward_call, latencies, outcome, shape
from analyzers.journal import Journal
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import PlanRequest, PrecisionPoint
from analyzers.statistics import median_estimate
from analyzers.tasks import Batch
from analyzers.weights import state_bytes
from tools.inputs import Inputs
from tools.steps.plan_result import TIMINGS, Planned

SIZES = 8  # of the frontier that are measured at each precision: the whole model, the plan, and some between


def wanted(request: PlanRequest) -> tuple[str, ...]:
    """The precisions that were asked for; `all` is every one that there is.

    Raises:
        BadTarget: there is nothing that could be quantized: parts of blocks cannot be saved.
    """
    if request.precisions and request.granularity != "block":
        raise BadTarget(
            "--precisions is about models that can be saved, and one without parts of blocks cannot be: give --granularity "
            "block, or leave --precisions out"
        )
    chosen = names() if "all" in request.precisions else request.precisions
    return tuple(name for name in dict.fromkeys(chosen) if name != PLAIN)


def check(request: PlanRequest, inputs: Inputs) -> None:
    """See that all precisions that were asked for compute on this machine.

    Raises:
        UnknownPrecision: one does not.
    """
    for name in wanted(request):
        check_available(name, inputs.device)


def measured(
    request: PlanRequest, planned: Planned, inputs: Inputs, journal: Journal, near: Path, progress: Progress
) -> list[PrecisionPoint]:
    """Each precision of each size: weights are quantized layer by layer, so a layer is skipped in the quantized model.

    Args:
        request: names the precisions.
        planned: the search that is done.
        inputs: model and data.
        journal: keeps what was measured.
        near: a path beside which models are written for a moment.
        progress: told about each precision.

    Raises:
        UnknownPrecision, ModelError, StorageError: see `quantization.quantized`.
    """
    if not (chosen := wanted(request)):
        return []
    search = planned.search
    models = {PLAIN: search.coalitions.layered}
    for name in chosen:
        progress.say(f"storing the weights as {name}")
        models[name] = LayeredModel(quantized(inputs.loaded.model, name, near))
    sets = _spread(list(search.frontier().values()), planned)
    found = {PLAIN: {kept: planned.on_select(kept) for kept in sets}}
    for name in chosen:
        coalitions = Coalitions(
            models[name], search.coalitions.task, search.coalitions.batches, journal, f"select {name}"
        )
        losses = coalitions.measure(sets, progress, f"sets of layers at {name}")
        found[name] = {
            kept: outcome(coalitions.task, each, planned.seed) for kept, each in zip(sets, losses, strict=True)
        }
    middle = planned.test.batches[len(planned.test.batches) // 2]
    batch = middle.rows(0, 1).to(inputs.device)
    seconds = latencies(
        {f"{name} {i}": _call(models[name], kept, batch) for name in models for i, kept in enumerate(sets)},
        inputs.device,
        TIMINGS,
        progress,
    )
    points = [
        PrecisionPoint(
            precision=name,
            keep=sorted(kept),
            remove=sorted(search.coalitions.everything - kept),
            select=found[name][kept],
            disk_mb=_bytes(models[name], kept) / 1e6,
            latency_ms=median_estimate(seconds[f"{name} {i}"] * 1000),
            conditions=shape(batch),
            dominated=False,
        )
        for i, kept in enumerate(sets)
        for name in models
    ]
    better = search.coalitions.task.higher_is_better
    return [
        point.model_copy(update={"dominated": any(dominates(other, point, better) for other in points)})
        for point in points
    ]


def dominates(one: PrecisionPoint, other: PrecisionPoint, higher_is_better: bool) -> bool:
    """At least as good in quality, size and latency, and better in one of them; by the values, not their intervals."""

    def bad(point: PrecisionPoint) -> tuple[float, float, float]:
        metric = point.select.metric.value
        return -metric if higher_is_better else metric, point.disk_mb, point.latency_ms.value

    pairs = list(zip(bad(one), bad(other), strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _spread(frontier: Sequence[Kept], planned: Planned) -> list[Kept]:
    """Some of the sets, from the largest to the smallest, the complete model and the plan among them."""
    ordered = sorted(
        {*frontier, planned.kept, planned.search.coalitions.everything}, key=lambda kept: (-len(kept), sorted(kept))
    )
    if len(ordered) <= SIZES:
        return ordered
    rows = {round(row) for row in np.linspace(0, len(ordered) - 1, SIZES - 1)}
    return [kept for row, kept in enumerate(ordered) if row in rows or kept == planned.kept]


def _call(layered: LayeredModel, kept: Kept, batch: Batch) -> Callable[[], None]:
    once = forward_call(layered.model, batch)
    removed = frozenset(range(len(layered))) - kept

    def call() -> None:
        with layered.skipping(removed):
            once()

    return call


def _bytes(layered: LayeredModel, kept: Kept) -> int:
    """Of all tensors without those of the layers that go."""
    gone = tuple(f"{block.name}." for block in layered.blocks if block.index not in kept)
    return state_bytes(
        {name: t for name, t in layered.model.state_dict().items() if not (gone and name.startswith(gone))}
    )
