"""Write a model in a format that other programs open, and prove what was written."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from analyzers.compression import formats
from analyzers.compression.export import expected_of_all, export_verified
from analyzers.compression.formats import Format, Subject
from analyzers.compression.probes import probes
from analyzers.compression.quantization import check_plain, precision_of
from analyzers.compression.surgery import remove_blocks
from analyzers.errors import LayerwiseError, UsageError
from analyzers.layers import LayeredModel
from analyzers.models import gguf_file, load
from analyzers.progress import Progress
from analyzers.records import CompressionResult, ExportResult, Measurement, PlanResult, Run
from analyzers.references import ModelReference, parse_model
from analyzers.requests import ExportRequest
from analyzers.tasks import Batch
from analyzers.weights import parameter_count
from tools.card import Exported, card
from tools.inputs import MODEL_FOLDER, check_whole, resolve, use_device
from tools.recording import Recording, artifacts, recording
from tools.workspace import Workspace

ABOUT = ("README.md", "Modelfile")  # say something of the model and are none of it


@dataclass(frozen=True)
class Source:
    """What is opened, and what is to be taken out of it."""

    reference: ModelReference
    remove: tuple[int, ...]
    parent: Run | None
    file: Path | None  # the GGUF file that the reference names
    origin: Path | None  # the GGUF file at the start of the lineage: the tokenizer is still the same


@dataclass(frozen=True)
class Prepared:
    """What is written, and what it has to give when it is opened again."""

    subject: Subject
    probes: list[Batch]
    reference: dict[str, Tensor] | None
    parameters: dict[str, int]  # of the dense model and of what is written


def run(request: ExportRequest, workspace: Workspace, progress: Progress) -> Run:
    form = formats.find(request.format)
    use_device(workspace)
    _check_precision(request, form)
    source = _source(request, form, workspace, progress)
    if cut := form.CUTS_GGUF and source.file is not None and not request.precision:
        if not source.remove:
            raise UsageError(
                f"{request.model} is a GGUF file already; name the layers to take out of it with --remove 3,4, or a plan that was "
                "made for it, or a precision to write it in"
            )
        # Before a model is opened for nothing: is the file of a family that can be cut, are the layers there?
        form.check(Subject(None, None, True, "", "", source.file, source.remove))
    with recording(
        workspace,
        "export",
        request,
        model=request.model,
        data=source.parent.data if source.parent else None,
        splits={},
        parents=[source.parent.id] if source.parent else [],
        settings={},
        device="cpu",
    ) as active:
        folder = _empty(Path(request.output).expanduser() if request.output else active.folder / MODEL_FOLDER)
        _export(request, form, source, cut, folder, active, workspace, progress)
    return active.finished


def _check_precision(request: ExportRequest, form: Format) -> None:
    if request.precision and request.precision not in form.PRECISIONS:
        known = {name: formats.find(name).PRECISIONS for name in formats.names()}
        allowed = "; ".join(f"{', '.join(each)} with --format {name}" for name, each in known.items() if each)
        raise UsageError(
            f"--format {request.format} has no precision {request.precision!r}; allowed are {allowed} (for a smaller one: ollama "
            "create --quantize q4_K_M); leave it out to write the weights as they are"
        )


def _source(request: ExportRequest, form: Format, workspace: Workspace, progress: Progress) -> Source:
    if request.output:
        _empty(Path(request.output).expanduser())
    named = parse_model(request.model)
    parent = workspace.runs.get(named.value) if named.kind == "run" else None
    result = parent.result if parent else None
    if isinstance(result, PlanResult) and parent:
        check_whole(parent.id, result)
        if request.remove:
            raise UsageError(
                f"--remove {','.join(map(str, request.remove))} beside {parent.id}, which removes {','.join(map(str, result.remove))}; "
                f"leave --remove out, or name the model of the plan: {parent.model}"
            )
        reference, _ = resolve(parent.model, workspace)
        file = gguf_file(reference, workspace.cache, progress)
        return Source(reference, tuple(result.remove), parent, file, file or _origin(parent, workspace, progress))
    if (
        isinstance(result, CompressionResult)
        and parent
        and form.CUTS_GGUF
        and not (request.remove or request.precision)
    ):
        file = _same_weights(parent, result, workspace, progress)
        if file:  # better the original, quantized as it was, than its tensors at full size
            return Source(parse_model(parent.model), tuple(result.removed), parent, file, file)
    reference, parent = resolve(request.model, workspace)
    file = gguf_file(reference, workspace.cache, progress)
    origin = file or (_origin(parent, workspace, progress) if parent else None)
    return Source(reference, tuple(sorted(set(request.remove))), parent, file, origin)


def _same_weights(run: Run, result: CompressionResult, workspace: Workspace, progress: Progress) -> Path | None:
    """The GGUF file that a compression began with, if what is left of it is as it was: nothing was healed or quantized."""
    if (result.healing and result.healing.best_epoch) or result.quantization:
        return None
    try:
        return gguf_file(parse_model(run.model), workspace.cache, progress)
    except LayerwiseError:  # it was moved since
        return None


def _origin(run: Run, workspace: Workspace, progress: Progress) -> Path | None:
    try:
        return gguf_file(parse_model(workspace.runs.base_model(run)), workspace.cache, progress)
    except LayerwiseError:
        return None


def _empty(folder: Path) -> Path:
    """The folder, absolute.

    Raises:
        UsageError: something is there that would be lost.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; name a folder with --output that is still to be made")
    return folder.absolute()


def _export(
    request: ExportRequest,
    form: Format,
    source: Source,
    cut: bool,
    folder: Path,
    active: Recording,
    workspace: Workspace,
    progress: Progress,
) -> None:
    made = _prepare(request, form, source, cut, active.run, workspace, progress)
    progress.say(f"writing {form.TITLE} and opening it in a new process")
    verified = export_verified(form, made.subject, folder, made.probes, made.reference)
    files = artifacts(folder)
    active.measurements = [
        *(Measurement(name="parameters", subject=name, value=value) for name, value in made.parameters.items()),
        *([_megabytes("dense", [source.file.stat().st_size])] if source.file else []),
        _megabytes("exported", [file.bytes for file in files if file.path not in ABOUT]),
    ]
    active.result = ExportResult(
        format=request.format,
        folder=str(folder),
        files=files,
        removed=sorted(source.remove),
        copied=cut,
        precision=request.precision,
        runtime=f"{form.RUNTIME} {version(form.RUNTIME)}",
        verified=verified,
        commands=form.commands(made.subject, folder),
    )


def _prepare(
    request: ExportRequest,
    form: Format,
    source: Source,
    cut: bool,
    run: Run,
    workspace: Workspace,
    progress: Progress,
) -> Prepared:
    """Open the model and compute what the written one has to give.

    What is cut out of a file does without the model from here on: it is let go, for the fresh process needs the room.
    """
    loaded = load(source.reference, workspace.cache, torch.device("cpu"), progress)
    model, tokenizer, remove = loaded.model, loaded.tokenizer, source.remove
    dense = LayeredModel(model, least=1)
    gone = [block for block in dense.blocks if block.index in remove]
    about = Exported(
        name=_name(run, source, len(dense) - len(gone), workspace),
        form=form,
        causal=loaded.task.name == "language_modeling",
        layers=len(dense) - len(gone),
        parameters=parameter_count(model) - sum(parameter_count(block.module) for block in gone),
        removed=remove,
        precision=request.precision,
    )
    if remove:
        check_plain(model, request.model, "remove layers from")
    if request.precision:
        form.check(Subject(model, tokenizer, about.causal, about.name, "", source.origin))
        form.lower(model, request.precision)
    written = None if cut else remove_blocks(model, remove) if remove else model
    text = card(run, about, workspace)
    subject = Subject(
        written, tokenizer, about.causal, about.name, text, source.origin, remove if cut else (), request.precision
    )
    form.check(subject)
    progress.say("computing what the model in memory gives")
    inputs = probes(model, tokenizer, request.seed)
    reference = None  # of a quantized one only once it is written
    if remove:
        with dense.skipping(set(remove)):
            reference = expected_of_all(model, tokenizer, inputs, cached=False)
    elif not precision_of(model):
        reference = expected_of_all(model, tokenizer, inputs)
    return Prepared(subject, inputs, reference, {"dense": parameter_count(model), "exported": about.parameters})


def _megabytes(subject: str, sizes: Sequence[int]) -> Measurement:
    return Measurement(name="disk_mb", subject=subject, value=sum(sizes) / 1e6, unit="MB")


def _name(run: Run, source: Source, layers: int, workspace: Workspace) -> str:
    """Such as SmolLM2-135M-22-layers: where the model came from in the end, and how deep it is now."""
    base = workspace.runs.base_model(run)
    stem = source.origin.stem if source.origin else Path(base.rpartition(":")[2]).name
    plain = re.sub(r"[^A-Za-z0-9.]+", "-", stem).strip("-.") or "model"
    return f"{plain}-{layers}-layers"
