"""What workflows start from: a model, its data in splits, and where both come from."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from analyzers import datasets
from analyzers.compression.quantization import check_plain
from analyzers.datasets.splits import Splits, split
from analyzers.errors import BadTarget, DataError, ModelError, UnknownData, UnknownModel
from analyzers.models import Loaded, is_language_model, load, match_labels, pick_device
from analyzers.progress import Progress
from analyzers.records import ExportResult, PlanResult, Request, Run
from analyzers.references import DataReference, ModelReference, parse_data, parse_model
from tools.workspace import Workspace

MODEL_FOLDER = "model"
MODEL_SHA256, SCRATCH_SHA256 = (
    "model_sha256",
    "from_scratch_sha256",
)  # settings: what files held, that a person may change


@dataclass(frozen=True)
class Inputs:
    loaded: Loaded
    splits: Splits
    split_seed: int
    parents: list[str]
    device: torch.device
    files: dict[str, str] = field(default_factory=dict)  # setting -> checksum of what a path named

    @property
    def settings(self) -> dict[str, Any]:
        """What the record of a run keeps beside its request."""
        return {"split_seed": self.split_seed, **self.files}


def open_inputs(
    model: str,
    data: str,
    seed: int,
    workspace: Workspace,
    progress: Progress,
    *,
    new_head: bool = False,
    only_measured: bool = False,
) -> Inputs:
    """Open a model and its data.

    A model that a run made is measured on the splits that it was made with, whatever the seed: with others, texts that it
    was trained on would be in its test split.

    Args:
        model: a model reference or the id of a run.
        data: a data reference.
        seed: of the splits, where the model comes from no run on this data.
        workspace: holds the runs and the cache.
        progress: told about downloads.
        new_head: give an encoder a new head for the classes of the data.
        only_measured: a quantized model will do.

    Raises:
        LayerwiseError: see `analyzers.errors`; nothing was recorded.
    """
    device = use_device(workspace)
    reference, parent = resolve(model, workspace)
    data_reference = parse_data(data)
    split_seed = seed
    same_data = parent is not None and _same_data(parent.data, data_reference)
    if parent is not None and same_data:
        split_seed = int(parent.settings.get("split_seed", parent.seed))
    labelled = not is_language_model(reference, workspace.cache, progress)
    splits = split(datasets.load(data_reference, workspace.cache, progress, labelled), split_seed)
    if parent is not None and same_data:
        check_unchanged(splits, parent)
    labels = splits.labels if new_head and labelled else ()
    loaded = load(reference, workspace.cache, device, progress, labels=labels, seed=seed)
    if not only_measured:
        check_plain(loaded.model, model, "train, analyze or compress")
    files = (
        {} if parent or reference.kind not in ("folder", "gguf") else {MODEL_SHA256: sha256_of(Path(reference.value))}
    )
    return Inputs(loaded, match_labels(splits, loaded), split_seed, [parent.id] if parent else [], device, files)


def sha256_of(path: Path) -> str:
    """Of a file, or of the names and contents of all files of a folder."""
    files = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    told = hashlib.sha256()
    for each in files:
        with each.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        told.update(f"{each.relative_to(path)} {content}\n".encode())
    return told.hexdigest()


def fingerprint(inputs: Inputs, request: Request) -> str:
    """Of all that the finished pieces of a workflow depend on: the same command may meet another model or other data."""
    told = hashlib.sha256(request.model_dump_json().encode())
    for part in inputs.splits.fingerprints.values():
        told.update(part.sha256.encode())
    for name, weight in inputs.loaded.model.state_dict().items():
        told.update(f"{name} {tuple(weight.shape)} {weight.double().sum().item()!r}".encode())
    return told.hexdigest()


def check_whole(run_id: str, plan: PlanResult) -> None:
    """Refuse to make the model of a plan that removes parts of blocks.

    Raises:
        BadTarget: it does.
    """
    if plan.granularity != "block":
        raise BadTarget(
            f"{run_id} removes parts of blocks, and no configuration of transformers describes a model without them: it could "
            "be measured and cannot be saved; for a model that can, plan with --granularity block"
        )


def use_device(workspace: Workspace) -> torch.device:
    """The device of the workspace, with its number of threads set."""
    if workspace.threads:
        torch.set_num_threads(workspace.threads)
    return pick_device(workspace.device)


def resolve(model: str, workspace: Workspace) -> tuple[ModelReference, Run | None]:
    """A run id becomes the folder of the model that the run made.

    Raises:
        UnknownModel, UnknownRun: nothing of that name.
        ModelError: the run made no model, or did not finish.
    """
    reference = parse_model(model)
    if reference.kind != "run":
        return reference, None
    run = workspace.runs.get(reference.value)
    if isinstance(run.result, ExportResult):
        return _exported(run, run.result, model), run
    folder = workspace.runs.folder(run.id) / MODEL_FOLDER
    if run.kind not in ("train", "compression", "export"):
        raise UnknownModel(f"{run.id} made no model, it is of the kind {run.kind}; its model is: {run.model}")
    if run.status != "done" or not folder.is_dir():
        raise ModelError(f"{run.id} is {run.status} and has no model; run it again: {run.command}")
    return ModelReference(kind="folder", value=str(folder), text=model), run


def _exported(run: Run, result: ExportResult, text: str) -> ModelReference:
    if result.format == "onnx":
        raise UnknownModel(f"{run.id} is an ONNX graph, which is not opened here; its model is: {run.model}")
    folder = Path(result.folder)
    if not folder.is_dir():
        raise ModelError(f"the folder of {run.id} is gone ({folder}); run it again: {run.command}")
    file = folder / "model.gguf"
    if result.format == "gguf":
        return ModelReference(kind="gguf", value=str(file), text=text)
    return ModelReference(kind="folder", value=str(folder), text=text)


def _same_data(recorded: str | None, wanted: DataReference) -> bool:
    """Whether a run was made on this data, however the path of its file is written."""
    try:
        mine = parse_data(recorded or "")
    except UnknownData:  # what the run was made on is gone
        return False
    paths = Path(mine.value), Path(wanted.value)
    if all(path.is_file() for path in paths) and paths[0].samefile(paths[1]):
        mine = mine.model_copy(update={"value": wanted.value})
    return mine.model_copy(update={"text": wanted.text}) == wanted


def check_unchanged(splits: Splits, parent: Run) -> None:
    """Refuse data that is no longer what a run saw: texts of its train split might be in the test split now.

    Raises:
        DataError: a split has other texts.
    """
    changed = [name for name, part in parent.splits.items() if splits.fingerprints[name].sha256 != part.sha256]
    if changed:
        raise DataError(
            f"{parent.data} is not what it was when {parent.id} used it (other texts in: {', '.join(changed)}); bring the "
            f"old file back, or start again with: {parent.command}"
        )
