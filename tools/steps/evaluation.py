"""Measure a model on the test split."""

from analyzers.evaluation import forward_call, latencies, latency_measurements, losses_of, parameters, quality
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import EvaluateRequest, EvaluationResult, Run
from analyzers.training import token_limit
from tools.engines import engine_of
from tools.inputs import open_inputs
from tools.recording import recording
from tools.workspace import Workspace

TIMINGS = 40


def run(request: EvaluateRequest, workspace: Workspace, progress: Progress) -> Run:
    inputs = open_inputs(request.model, request.data, request.seed, workspace, progress, only_measured=True)
    loaded = inputs.loaded
    with (
        engine_of(workspace) as engine,
        recording(
            workspace,
            "evaluation",
            request,
            model=request.model,
            data=request.data,
            splits=inputs.splits.fingerprints,
            parents=inputs.parents,
            settings=inputs.settings,
            device=str(inputs.device),
            engine=engine.name,
        ) as active,
    ):
        limit = token_limit(loaded.model, loaded.tokenizer, request.max_tokens)
        batches = loaded.task.batches(inputs.splits.test, loaded.tokenizer, request.batch_size, limit)
        layered = LayeredModel(loaded.model, least=1)
        losses = losses_of(layered, loaded.task, batches, progress, engine.executor)
        batch = batches[len(batches) // 2].to(inputs.device)
        seconds = latencies({"model": forward_call(loaded.model, batch)}, inputs.device, TIMINGS, progress)
        size = parameters(loaded.model, "model")
        active.measurements = [
            *quality(loaded.task, losses, "model", "test", request.seed),
            *latency_measurements(seconds, batch),
            size,
        ]
        active.result = EvaluationResult(
            task=loaded.task.name, metric=loaded.task.metric, layers=len(layered), parameters=int(size.value)
        )
    return active.finished
