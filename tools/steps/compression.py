"""Remove the planned layers for good, prove it, heal it, measure it."""

from analyzers import datasets
from analyzers.compression.distillation import WEIGHTINGS
from analyzers.compression.export import expected, save_verified
from analyzers.compression.healer import healed, transferred
from analyzers.compression.healing import Case, find
from analyzers.compression.surgery import remove_blocks
from analyzers.datasets import Example
from analyzers.errors import NotFinite, StorageError, UnknownRun
from analyzers.evaluation import (
    disk,
    forward_call,
    kept_share,
    latencies,
    latency_measurements,
    losses_of,
    parameters,
    quality,
)
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import AnalysisResult, CompressionResult, CompressRequest, Healing, PlanResult, Run, TrainRequest
from analyzers.references import parse_data
from analyzers.training import discard_state, token_limit
from tools.inputs import MODEL_FOLDER, Inputs, check_unchanged, check_whole, open_inputs
from tools.recording import Recording, recording, to_resume
from tools.workspace import Workspace

EPOCHS = 3  # of healing, where neither epochs nor minutes are given
MANY_EPOCHS = 1000  # where the minutes end it
CLASSIFIER_RATE = 0.6  # of a strategy's learning rate: measured on demo:minilm
WINDOWS = 8  # of a language model that are learned from at once: a step fewer is worse than a noisier one
PROBE_ROWS = 4  # texts that the saved model and the one in memory are compared on
TIMINGS = 40


def run(request: CompressRequest, workspace: Workspace, progress: Progress, resume: bool = False) -> Run:
    parent, plan = _plan(request.plan, workspace)
    analysis = workspace.runs.get(parent.parents[0])
    inputs = open_inputs(parent.model, str(parent.data), int(parent.settings["split_seed"]), workspace, progress)
    check_unchanged(inputs.splits, parent)
    again = to_resume("compression", request, workspace) if resume else None
    transfer = _transfer(request, inputs, workspace, progress)
    with recording(
        workspace,
        "compression",
        request,
        model=parent.model,
        data=parent.data,
        splits=inputs.splits.fingerprints,
        parents=[parent.id],
        settings=inputs.settings,
        device=str(inputs.device),
        again=again,
    ) as active:
        _compress(request, plan, analysis, inputs, transfer, active, progress, bool(again))
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
) -> None:
    loaded, task = inputs.loaded, inputs.loaded.task
    limit = token_limit(loaded.model, loaded.tokenizer, int(analysis.settings["max_tokens"]))
    size = int(analysis.settings["batch_size"])
    test = task.batches(inputs.splits.test, loaded.tokenizer, size, limit)
    dense = LayeredModel(loaded.model)
    folder = active.folder / MODEL_FOLDER

    probe = test[len(test) // 2].rows(0, PROBE_ROWS)
    with dense.skipping(frozenset(plan.remove)):
        masked = expected(loaded.model, probe, cached=False)
    pruned = remove_blocks(loaded.model, plan.remove)
    progress.say("saving the smaller model and opening it in a new process")
    verified = save_verified(pruned, loaded.tokenizer, folder, probe, masked)

    before = losses_of(dense, task, test, progress)
    unhealed = losses_of(LayeredModel(pruned, least=1), task, test, progress)
    healing = _heal(request, plan, analysis, inputs, transfer, dense, pruned, active, limit, size, progress, resume)
    final, after = "compressed", unhealed
    if healing and healing.best_epoch:
        final = "healed"
        verified = save_verified(pruned, loaded.tokenizer, folder, probe, expected(pruned, probe))
        after = losses_of(LayeredModel(pruned, least=1), task, test, progress)

    batch = test[len(test) // 2].to(inputs.device)
    calls = {"dense": forward_call(loaded.model, batch), final: forward_call(pruned, batch)}
    active.measurements = [
        *quality(task, before, "dense", "test", request.seed),
        *quality(task, unhealed, "compressed", "test", request.seed),
        *(quality(task, after, final, "test", request.seed) if final == "healed" else ()),
        kept_share(task, before, after, f"{final}/dense", "test", request.seed),
        *latency_measurements(latencies(calls, inputs.device, TIMINGS, progress), batch),
        parameters(loaded.model, "dense"),
        parameters(pruned, final),
        disk(folder, final),
    ]
    active.result = CompressionResult(
        task=plan.task,
        metric=plan.metric,
        removed=plan.remove,
        kept=plan.keep,
        format=request.export,
        verified=verified,
        healing=healing,
    )
    discard_state(active.folder)


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
