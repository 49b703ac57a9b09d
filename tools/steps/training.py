"""Train a model and keep the best."""

from pathlib import Path

from analyzers import datasets, scratch
from analyzers import training as fitting
from analyzers.compression.export import save
from analyzers.datasets.splits import split
from analyzers.evaluation import losses_of, parameters, quality
from analyzers.layers import LayeredModel
from analyzers.mixed_precision import settled
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.records import Run, TrainRequest
from analyzers.references import parse_data
from analyzers.tasks import task_of
from tools.engines import engine_of
from tools.inputs import MODEL_FOLDER, SCRATCH_SHA256, Inputs, open_inputs, sha256_of, use_device
from tools.recording import recording, to_resume
from tools.workspace import Workspace


def run(request: TrainRequest, workspace: Workspace, progress: Progress, resume: bool) -> Run:
    inputs = (
        _scratch(request, workspace, progress) if request.from_scratch else _pretrained(request, workspace, progress)
    )
    loaded, splits = inputs.loaded, inputs.splits
    again = to_resume("train", request, workspace) if resume else None
    precision = settled(request.mixed_precision, inputs.device)
    with (
        engine_of(workspace) as engine,
        recording(
            workspace,
            "train",
            request,
            model=request.model,
            data=request.data,
            splits=splits.fingerprints,
            parents=inputs.parents,
            settings=inputs.settings | {"mixed_precision": precision},
            device=str(inputs.device),
            again=again,
            engine=engine.name,
        ) as active,
    ):
        chosen = request.model_copy(update={"mixed_precision": precision})
        active.result = engine.train(loaded, splits, chosen, active.folder, progress, resume=bool(again))
        save(loaded.model, loaded.tokenizer, active.folder / MODEL_FOLDER)
        limit = fitting.token_limit(loaded.model, loaded.tokenizer, request.max_tokens)
        batches = loaded.task.batches(splits.test, loaded.tokenizer, request.batch_size, limit)
        losses = losses_of(LayeredModel(loaded.model, least=1), loaded.task, batches, progress)
        active.measurements = [
            *quality(loaded.task, losses, "dense", "test", request.seed),
            parameters(loaded.model, "dense"),
        ]
        fitting.discard_state(active.folder)
    return active.finished


def _pretrained(request: TrainRequest, workspace: Workspace, progress: Progress) -> Inputs:
    return open_inputs(request.model, request.data, request.seed, workspace, progress, new_head=True)


def _scratch(request: TrainRequest, workspace: Workspace, progress: Progress) -> Inputs:
    """A small encoder with a vocabulary of its own; the model's name in the request is only what it is called."""
    device = use_device(workspace)
    splits = split(datasets.load(parse_data(request.data), workspace.cache, progress), request.seed)
    config = Path(request.from_scratch or "")
    texts = [example.text for example in splits.train]
    model, tokenizer = scratch.build(config, texts, splits.labels, request.seed)
    model = model.to(device)
    files = {SCRATCH_SHA256: sha256_of(config.expanduser())}
    return Inputs(Loaded(model, tokenizer, task_of(model)), splits, request.seed, [], device, files)
