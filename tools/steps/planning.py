"""Choose the layers to remove, by measuring."""

import hashlib
import shutil
from collections.abc import Sequence

import numpy as np

from analyzers.baselines import Similarity, similarity, weight_times_gradient
from analyzers.budget import Budget
from analyzers.coalitions import Coalitions, Kept
from analyzers.consensus import order_of
from analyzers.errors import UnknownRun
from analyzers.evaluation import forward_call, latencies
from analyzers.executor import Executor
from analyzers.journal import Journal
from analyzers.layers import LayeredModel
from analyzers.planning import Published, Search, within_drop
from analyzers.progress import Progress
from analyzers.records import AnalysisResult, PlanRequest, Run
from analyzers.samples import ROWS, in_eighths
from analyzers.storage import storage_errors
from analyzers.sublayers import SubLayers
from analyzers.targets import BYTES, check_drop, keep_within, layers_to_keep
from analyzers.tasks import Batch
from analyzers.tasks.divergence import Divergence
from analyzers.training import token_limit
from analyzers.weights import parameter_count
from tools.engines import Engine, engine_of
from tools.inputs import Inputs, check_unchanged, fingerprint, open_inputs
from tools.recording import recording, unfinished
from tools.steps import precisions
from tools.steps.plan_result import TIMINGS, Planned, measurements, predict, result_of
from tools.workspace import Workspace


def run(request: PlanRequest, workspace: Workspace, progress: Progress) -> Run:
    parent, analysis = _analysis(request.analysis, workspace)
    if request.max_drop is not None:  # a target that cannot be met is said before any work
        check_drop(request.max_drop)
    elif request.ratio is not None or request.keep is not None:
        layers_to_keep(request.target(), len(analysis.layers))
    precisions.wanted(request)
    wanted = parent.settings
    inputs = open_inputs(parent.model, str(parent.data), int(wanted["split_seed"]), workspace, progress)
    check_unchanged(inputs.splits, parent)
    precisions.check(request, inputs)
    with engine_of(workspace) as engine:
        return _run(request, workspace, progress, parent, analysis, inputs, engine)


def _run(
    request: PlanRequest,
    workspace: Workspace,
    progress: Progress,
    parent: Run,
    analysis: AnalysisResult,
    inputs: Inputs,
    engine: Engine,
) -> Run:
    with recording(
        workspace,
        "plan",
        request,
        model=parent.model,
        data=parent.data,
        splits=inputs.splits.fingerprints,
        parents=[parent.id],
        settings=inputs.settings,
        device=str(inputs.device),
        again=unfinished("plan", request, workspace),
        engine=engine.name,
    ) as active:
        work = active.folder / "work"
        journal = Journal(work)
        journal.only_for(hashlib.sha256(f"{fingerprint(inputs, request)} {parent.id}".encode()).hexdigest())
        with storage_errors(work):
            planned = _plan(request, parent, analysis, inputs, journal, progress, engine.executor)
            prediction = predict(planned.search.coalitions.layered, planned.kept, planned.test.batches, progress)
            points = precisions.measured(request, planned, inputs, journal, work / "model", progress)
        active.result = result = result_of(request, analysis, planned, prediction, points)
        active.measurements = measurements(result)
        shutil.rmtree(work, ignore_errors=True)
    return active.finished


def _plan(
    request: PlanRequest,
    parent: Run,
    analysis: AnalysisResult,
    inputs: Inputs,
    journal: Journal,
    progress: Progress,
    executor: Executor,
) -> Planned:
    task = inputs.loaded.task
    batches = _batches(request, parent, inputs)
    layered = LayeredModel(inputs.loaded.model)
    # Nothing is searched for where nothing is to go: a plan that quantizes alone.
    still = _keeps_all(request, len(layered)) and not request.precisions
    published = (
        Published({}, Similarity(*[np.zeros(0)] * 3), ())
        if still
        else _published(layered, analysis, inputs, batches["train"], journal, progress)
    )
    units = layered
    groups = [frozenset({layer}) for layer in range(len(layered))]
    sizes = [1] * len(layered)
    if request.granularity == "sublayer":
        units = SubLayers(inputs.loaded.model, batches["test"][0].rows(0, 1).to(layered.device).inputs)
        groups, sizes = units.groups, [part.parameters for part in units.blocks]
    search = Search(
        Coalitions(units, task, batches["select"], journal, "select", executor),
        groups,
        sizes,
        published,
        _budget(request, journal),
        progress,
        request.objective,
        _divergence(request, units, inputs, batches["select"], journal, executor),
        request.seed,
    )
    if still:
        search.coalitions.measure([search.coalitions.everything], progress, "the dense model on select")
    else:
        search.begin()
    if request.max_drop is not None:
        kept, seeds, exhaustive = within_drop(search, request.max_drop)
        keep = search.layers - len(search.coalitions.everything - kept)
    else:
        keep = _keep(request, layered, batches["test"], progress)
        everything = search.coalitions.everything
        kept, seeds, exhaustive = (
            (everything, {"all_layers": everything}, True) if keep == search.layers else search.best(keep)
        )
    if request.granularity == "block" and not still:
        search.explore(keep)
    test = Coalitions(units, task, batches["test"], journal, "test", executor)
    planned = Planned(search, kept, seeds, exhaustive, test, request.seed)
    test.measure([test.everything, kept, seeds[planned.best_baseline]], progress, "the choice on the test split")
    return planned


def _analysis(run_id: str, workspace: Workspace) -> tuple[Run, AnalysisResult]:
    run = workspace.runs.get(run_id)
    if not isinstance(run.result, AnalysisResult):
        raise UnknownRun(
            f"{run_id} is a run of the kind {run.kind} ({run.status}); a plan starts from a finished analysis: make one with: "
            "layerwise analyze MODEL DATA"
        )
    return run, run.result


def _batches(request: PlanRequest, parent: Run, inputs: Inputs) -> dict[str, list[Batch]]:
    loaded = inputs.loaded
    limit = token_limit(loaded.model, loaded.tokenizer, int(parent.settings["max_tokens"]))
    size = int(parent.settings["batch_size"])
    rows = ROWS[loaded.task.name]
    samples = {"train": rows.calibration, "select": request.samples or rows.search, "test": None}
    found = {
        name: loaded.task.batches(getattr(inputs.splits, name), loaded.tokenizer, size, limit, count, request.seed)
        for name, count in samples.items()
    }
    return found | {"select": in_eighths(found["select"], request.seed)}


def _published(
    layered: LayeredModel,
    analysis: AnalysisResult,
    inputs: Inputs,
    calibration: Sequence[Batch],
    journal: Journal,
    progress: Progress,
) -> Published:
    """What methods and baselines go by, from the journal where a killed run had come to it."""
    kept = journal.find("published")
    if kept is None:
        found = similarity(layered, inputs.loaded.task, calibration, progress)
        taylor = weight_times_gradient(layered, inputs.loaded.task, calibration, progress)
        kept = {"cosine": found.cosine, "angle": found.angle, "window": found.window, "taylor": taylor}
        journal.keep("published", **kept)
    orders = {name: order_of(scores) for name, scores in analysis.scores.items()}
    orders["consensus"] = list(reversed(analysis.consensus))
    return Published(orders, Similarity(kept["cosine"], kept["angle"], kept["window"]), kept["taylor"].tolist())


def _budget(request: PlanRequest, journal: Journal) -> Budget:
    """Minutes go on where a killed run was."""
    clock = journal.find("clock")
    return Budget(
        request.budget,
        request.minutes,
        float(clock["seconds"]) if clock else 0.0,
        lambda seconds: journal.keep("clock", seconds=np.array(seconds)),
    )


def _divergence(
    request: PlanRequest,
    units: LayeredModel,
    inputs: Inputs,
    batches: Sequence[Batch],
    journal: Journal,
    executor: Executor,
) -> Coalitions | None:
    if request.objective != "kl":
        return None
    task = Divergence(inputs.loaded.task, inputs.loaded.model, batches)
    return Coalitions(units, task, batches, journal, "divergence", executor)


def _keep(request: PlanRequest, layered: LayeredModel, timed: Sequence[Batch], progress: Progress) -> int:
    """The number of layers that the target leaves."""
    if request.max_size is not None:
        whole = parameter_count(layered.model) * BYTES / 1e6
        costs = [block.parameters * BYTES / 1e6 for block in layered.blocks]
        return keep_within(request.max_size, whole, costs, "--max-size", "MB")
    if request.max_latency is not None:
        whole, costs = _milliseconds(layered, timed, progress)
        return keep_within(request.max_latency, whole, costs, "--max-latency", "ms")
    return layers_to_keep(request.target(), len(layered))


def _keeps_all(request: PlanRequest, layers: int) -> bool:
    counted = request.ratio is not None or request.keep is not None
    return counted and layers_to_keep(request.target(), layers) == layers


def _milliseconds(layered: LayeredModel, timed: Sequence[Batch], progress: Progress) -> tuple[float, list[float]]:
    """What a batch takes, and each layer of it: the median of what is saved when it is skipped alone, never below zero."""
    batch = timed[len(timed) // 2].to(layered.device)
    call = forward_call(layered.model, batch)

    def without(skip: Kept) -> None:
        with layered.skipping(skip):
            call()

    calls = {"dense": call} | {
        str(layer): (lambda layer=layer: without(frozenset({layer}))) for layer in range(len(layered))
    }
    seconds = latencies(calls, layered.device, TIMINGS, progress)
    saved = [float(np.median(seconds["dense"] - seconds[str(layer)])) for layer in range(len(layered))]
    return float(np.median(seconds["dense"])) * 1000, [1000 * max(0.0, each) for each in saved]
