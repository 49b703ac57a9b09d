"""Remove the planned layers for good, prove it, heal it, measure it."""

from analyzers.compression.export import expected, save_verified
from analyzers.compression.healing import distill
from analyzers.compression.surgery import remove_blocks
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
from analyzers.records import CompressionResult, CompressRequest, Healing, PlanResult, Run, TrainRequest
from analyzers.training import discard_state, token_limit
from tools.inputs import MODEL_FOLDER, Inputs, check_unchanged, check_whole, open_inputs
from tools.recording import Recording, recording
from tools.workspace import Workspace

HEALING_RATE = 3e-4
PROBE_ROWS = 4  # texts that the saved model and the one in memory are compared on
TIMINGS = 40


def run(request: CompressRequest, workspace: Workspace, progress: Progress) -> Run:
    parent, plan = _plan(request.plan, workspace)
    analysis = workspace.runs.get(parent.parents[0])
    inputs = open_inputs(parent.model, str(parent.data), int(parent.settings["split_seed"]), workspace, progress)
    check_unchanged(inputs.splits, parent)
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
    ) as active:
        _compress(request, plan, analysis, inputs, active, progress)
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


def _compress(
    request: CompressRequest, plan: PlanResult, analysis: Run, inputs: Inputs, active: Recording, progress: Progress
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
    healing = _heal(request, plan, inputs, dense, pruned, active, limit, size, progress)
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


def _heal(
    request: CompressRequest,
    plan: PlanResult,
    inputs: Inputs,
    dense: LayeredModel,
    pruned: object,
    active: Recording,
    limit: int,
    size: int,
    progress: Progress,
) -> Healing | None:
    if request.heal == "none":
        return None
    settings = TrainRequest(
        model=request.plan,
        data=str(active.run.data),
        epochs=request.epochs,
        batch_size=size,
        learning_rate=HEALING_RATE,
        max_tokens=limit,
        patience=request.epochs,
        seed=request.seed,
    )
    loaded = inputs.loaded
    try:
        return distill(
            dense, pruned, plan.keep, loaded.task, loaded.tokenizer, inputs.splits, settings, active.folder, progress
        )
    except (StorageError, NotFinite) as error:  # training's own advice is about options that compress does not have
        raise type(error)(
            f"healing failed: {error.args[0].partition('; ')[0]}; make room or choose another --home, or leave healing out "
            f"with: {request.model_copy(update={'heal': 'none'}).command()}"
        ) from error
    finally:
        discard_state(active.folder)  # compress begins anew: nothing would go on from it
