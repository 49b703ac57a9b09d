"""Remove the planned layers for good, heal and quantize what is left, prove it, measure it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from analyzers import datasets
from analyzers.compression import cost
from analyzers.compression.distillation import WEIGHTINGS
from analyzers.compression.export import check_room, expected, save, save_verified
from analyzers.compression.healer import healed, transferred
from analyzers.compression.healing import EPOCHS, Case, find
from analyzers.compression.quantization import PLAIN, check_available, describe, quantized
from analyzers.compression.surgery import remove_blocks
from analyzers.datasets import Example
from analyzers.errors import BadTarget, NotFinite, StorageError, UnknownRun, VerificationFailed
from analyzers.evaluation import kept_share, latency_measurements, losses_of, parameters, quality, shape
from analyzers.executor import Executor
from analyzers.generation import beginnings, compared, write
from analyzers.layers import LayeredModel
from analyzers.mixed_precision import settled
from analyzers.progress import Progress
from analyzers.records import (
    AnalysisResult,
    CompressionResult,
    CompressRequest,
    Healing,
    Measurement,
    PlanResult,
    Run,
    TrainRequest,
)
from analyzers.references import parse_data
from analyzers.storage import unfinished_beside
from analyzers.tasks import Batch
from analyzers.training import discard_state, token_limit
from analyzers.weights import weight_bytes
from tools.engines import engine_of
from tools.inputs import MODEL_FOLDER, Inputs, check_unchanged, check_whole, open_inputs, use_device
from tools.recording import Recording, recording, to_resume
from tools.workspace import Workspace

MANY_EPOCHS = 1000  # where the minutes end it
CLASSIFIER_RATE = 0.6  # of a strategy's learning rate: measured on demo:minilm
WINDOWS = 8  # of a language model that are learned from at once: a step fewer is worse than a noisier one
PROBE_ROWS = 4  # texts that the saved model and the one in memory are compared on
TIMINGS = 40
TIMED_ROWS = 16  # texts that are timed at once, beside one alone


def run(request: CompressRequest, workspace: Workspace, progress: Progress, resume: bool = False) -> Run:
    parent, plan = _plan(request.plan, workspace)
    if request.quantize != PLAIN:
        check_available(request.quantize, use_device(workspace))
    elif not plan.remove:
        raise BadTarget(
            f"{parent.id} removes no layer and --quantize is {PLAIN}: nothing would change; add --quantize int8, or plan with "
            "--ratio 2"
        )
    analysis = workspace.runs.get(parent.parents[0])
    inputs = open_inputs(parent.model, str(parent.data), int(parent.settings["split_seed"]), workspace, progress)
    check_unchanged(inputs.splits, parent)
    again = to_resume("compression", request, workspace) if resume else None
    transfer = _transfer(request, inputs, workspace, progress)
    precision = settled(request.mixed_precision, inputs.device)
    with (
        engine_of(workspace) as engine,
        recording(
            workspace,
            "compression",
            request,
            model=parent.model,
            data=parent.data,
            splits=inputs.splits.fingerprints,
            parents=[parent.id],
            settings=inputs.settings | {"mixed_precision": precision},
            device=str(inputs.device),
            again=again,
            engine=engine.name,
        ) as active,
    ):
        _compress(request, plan, analysis, inputs, transfer, active, progress, bool(again), engine.executor)
    return active.finished


def _plan(run_id: str, workspace: Workspace) -> tuple[Run, PlanResult]:
    run = workspace.runs.get(run_id)
    if not isinstance(run.result, PlanResult):
        raise UnknownRun(
            f"{run_id} is a run of the kind {run.kind} ({run.status}); compression starts from a finished plan: make one with: "
            "layerwise plan ANALYSIS_RUN --ratio 2"
        )
    check_whole(run_id, run.result)
    return run, run.result


def _transfer(
    request: CompressRequest, inputs: Inputs, workspace: Workspace, progress: Progress
) -> tuple[Example, ...]:
    """The texts of other data sets to learn from."""
    found: list[Example] = []
    for name in request.heal_data:
        texts = datasets.load(parse_data(name), workspace.cache, progress, labelled=False).examples
        found += transferred(texts, name, inputs.splits)
    return tuple(found)


def _compress(
    request: CompressRequest,
    plan: PlanResult,
    analysis: Run,
    inputs: Inputs,
    transfer: tuple[Example, ...],
    active: Recording,
    progress: Progress,
    resume: bool,
    executor: Executor,
) -> None:
    loaded, task = inputs.loaded, inputs.loaded.task
    limit = token_limit(loaded.model, loaded.tokenizer, int(analysis.settings["max_tokens"]))
    size = int(analysis.settings["batch_size"])
    test = task.batches(inputs.splits.test, loaded.tokenizer, size, limit)
    dense = LayeredModel(loaded.model)
    folder = active.folder / MODEL_FOLDER

    check_room(folder, 2 * weight_bytes(loaded.model))  # what is measured from disk, and what becomes of it

    probe = test[len(test) // 2].rows(0, PROBE_ROWS)
    with dense.skipping(frozenset(plan.remove)):
        masked = expected(loaded.model, probe, cached=False)
    before = losses_of(dense, task, test, progress, executor)
    pruned = remove_blocks(loaded.model, plan.remove)
    found = [*quality(task, before, "dense", "test", request.seed)]
    healing = quantization = generation = None
    finished = pruned
    if plan.remove:
        progress.say("saving the smaller model and opening it in a new process")
        verified = save_verified(pruned, loaded.tokenizer, folder, probe, masked)
        after = losses_of(LayeredModel(pruned, least=1), task, test, progress, executor)
        found += quality(task, after, final := "compressed", "test", request.seed)
        healing = _heal(request, plan, analysis, inputs, transfer, dense, pruned, active, limit, size, progress, resume)
    if healing and healing.best_epoch:
        verified = save_verified(pruned, loaded.tokenizer, folder, probe)
        after = losses_of(LayeredModel(pruned, least=1), task, test, progress, executor)
        found += quality(task, after, final := "healed", "test", request.seed)
    if request.quantize != PLAIN:
        progress.say(f"storing the weights as {request.quantize}, and opening the model in a new process")
        finished = quantized(pruned, request.quantize, folder)
        quantization = describe(finished, request.quantize)
        verified = save_verified(finished, loaded.tokenizer, folder, probe)
        after = losses_of(LayeredModel(finished, least=1), task, test, progress)
        found += quality(task, after, final := "quantized", "test", request.seed)

    if not task.labelled:
        progress.say("looking at what both models write")
        prompts = beginnings(inputs.splits.test, loaded.tokenizer, request.seed)
        texts = write(loaded.model, prompts), write(finished, prompts)
        generation, written = compared(*texts, prompts, loaded.tokenizer, final, request.seed)
        found += written
    active.measurements = [
        *found,
        kept_share(task, before, after, f"{final}/dense", "test", request.seed),
        parameters(loaded.model, "dense"),
        parameters(finished, final),
        *_costs(final, folder, inputs, test, limit, progress),
        *_predicted(request, plan),
    ]
    active.result = CompressionResult(
        task=plan.task,
        metric=plan.metric,
        removed=plan.remove,
        kept=plan.keep,
        format=request.export,
        verified=verified,
        healing=healing,
        quantization=quantization,
        generation=generation,
    )
    discard_state(active.folder)


def _costs(
    final: str, folder: Path, inputs: Inputs, test: Sequence[Batch], limit: int, progress: Progress
) -> list[Measurement]:
    """Latency, throughput, memory and size of both models as they are opened from disk, each in a process of its own.

    Raises:
        VerificationFailed: one cannot be run, or the finished model is not smaller on disk than the dense one.
    """
    loaded = inputs.loaded
    if len(test[0]) != TIMED_ROWS:
        test = loaded.task.batches(inputs.splits.test, loaded.tokenizer, TIMED_ROWS, limit)
    middle = test[len(test) // 2]
    batches = {shape(each): each for each in (middle, middle.rows(0, 1))}
    with unfinished_beside(folder) as work:
        dense = work / "dense"
        save(loaded.model, loaded.tokenizer, dense)
        try:
            found = cost.costs(
                {"dense": dense, final: folder},
                "classification" if loaded.task.labelled else "causal",
                {name: batch.inputs for name, batch in batches.items()},
                TIMINGS,
                str(inputs.device),
                progress,
            )
        except VerificationFailed:
            shutil.rmtree(folder, ignore_errors=True)  # it says that the model was not kept
            raise
    if found[final].disk >= found["dense"].disk:
        shutil.rmtree(folder)
        raise VerificationFailed(
            f"the finished model takes {found[final].disk:,} bytes on disk, the dense one {found['dense'].disk:,}: its layers "
            "are so small that their scales take more than is saved; it was not kept: compress without --quantize"
        )
    measured = []
    for name, batch in batches.items():
        measured += latency_measurements({subject: each.seconds[name] for subject, each in found.items()}, batch)
    for subject, each in found.items():
        about = f"beside the libraries, up to {shape(middle)}"
        measured.append(
            Measurement(name="peak_memory_mb", subject=subject, value=each.peak / 1e6, unit="MB", conditions=about)
        )
        measured.append(Measurement(name="disk_mb", subject=subject, value=each.disk / 1e6, unit="MB"))
    return measured


def _predicted(request: CompressRequest, plan: PlanResult) -> list[Measurement]:
    """What the plan had said, to stand beside what was measured. Memory was not predicted, nor precisions it did not try."""
    foretold = plan.prediction
    found = [Measurement(name="parameters", subject="predicted", value=foretold.parameters)]
    latencies = [(foretold.latency_ms, foretold.conditions)] if request.quantize == PLAIN else []
    sizes = [foretold.disk_mb] if request.quantize == PLAIN else []
    for point in plan.precisions:
        if (point.precision, point.keep) == (request.quantize, plan.keep):
            latencies.append((point.latency_ms, point.conditions))
            sizes.append(point.disk_mb)
    found += [Measurement(name="disk_mb", subject="predicted", value=size, unit="MB") for size in sizes[:1]]
    return found + [
        Measurement(
            name="latency_ms",
            subject="predicted",
            value=e.value,
            low=e.low,
            high=e.high,
            unit="ms",
            conditions=conditions,
        )
        for e, conditions in latencies
    ]


def _heal(
    request: CompressRequest,
    plan: PlanResult,
    analysis: Run,
    inputs: Inputs,
    transfer: tuple[Example, ...],
    dense: LayeredModel,
    pruned: object,
    active: Recording,
    limit: int,
    size: int,
    progress: Progress,
    resume: bool,
) -> Healing | None:
    if request.heal == "none":
        return None
    loaded = inputs.loaded
    rate = find(request.heal).LEARNING_RATE
    epochs = request.epochs or (EPOCHS if request.heal_minutes is None else MANY_EPOCHS)
    if rate and loaded.task.labelled:
        rate *= CLASSIFIER_RATE
    settings = TrainRequest(
        model=request.plan,
        data=str(active.run.data),
        epochs=epochs,
        batch_size=size if loaded.task.labelled else min(size, WINDOWS),
        learning_rate=rate or 1.0,  # a strategy without one does not train
        max_tokens=limit,
        patience=epochs,
        mixed_precision=request.mixed_precision,
        seed=request.seed,
    )
    case = Case(
        dense,
        pruned,
        plan.keep,
        loaded.task,
        loaded.tokenizer,
        inputs.splits,
        settings,
        active.folder,
        progress,
        request.heal_minutes,
        transfer,
        _weights(request, plan, analysis),
        resume,
    )
    try:
        found = healed(request.heal, case)
    except (StorageError, NotFinite) as error:  # training's own advice is about options that compress does not have
        if isinstance(error, NotFinite):
            discard_state(active.folder)  # going on would meet the same
        raise type(error)(
            f"healing failed: {error.args[0].partition('; ')[0]}; make room or choose another --home, or leave healing out "
            f"with: {request.model_copy(update={'heal': 'none'}).command()}"
        ) from error
    trained = rate is not None
    return found.model_copy(
        update={
            "data": [str(active.run.data), *request.heal_data],
            "weighting": request.heal_weights if trained else None,
        }
    )


def _weights(request: CompressRequest, plan: PlanResult, analysis: Run) -> tuple[float, ...]:
    """Of the kept layers, from the scores of the method that the analysis believes, or the order of its consensus."""
    result = analysis.result
    if not isinstance(result, AnalysisResult):
        return ()
    scores = result.scores.get(result.believe or "")
    importance = (
        {score.layer: score.value for score in scores}
        if scores
        else {layer: -float(place) for place, layer in enumerate(result.consensus)}
    )
    return tuple(WEIGHTINGS[request.heal_weights]([importance[layer] for layer in plan.keep]))
