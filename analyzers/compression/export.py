"""Saving a model so that it is either whole and verified under its name, or not there."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from analyzers.compression import verify
from analyzers.compression.formats import Format, Subject
from analyzers.errors import StorageError, VerificationFailed
from analyzers.records import Verification
from analyzers.storage import unfinished_beside
from analyzers.tasks import Batch
from analyzers.weights import weight_bytes

TOLERANCE = 1e-3  # of the largest logit
BESIDE_WEIGHTS = 4_000_000  # bytes: tokenizer, configuration, what the file system itself takes


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a model as a Hugging Face folder, whole or not at all.

    Raises:
        StorageError: the disk is full or not writable.
    """
    check_room(folder, weight_bytes(model))
    with unfinished_beside(folder) as work:
        _write(model, tokenizer, work / "model")
        _replace(folder, work / "model")


def save_verified(
    model: Any, tokenizer: Any, folder: Path, probe: Batch, reference: dict[str, Tensor] | None = None
) -> Verification:
    """Save a model as a Hugging Face folder, open it in a fresh process, and compare with what it has to give.

    Args:
        model: what is saved.
        tokenizer: saved beside it.
        folder: the final name; appears only when all is verified.
        probe: inputs to compare on.
        reference: `expected` of the model that the saved one has to equal; None: of this model, once it is written. A library
            may pack the weights anew when they are first computed with, and lose some when it unpacks them to write.

    Raises:
        VerificationFailed: the saved model cannot be opened or gives other logits or other text.
        StorageError: the disk is full or not writable.
    """
    check_room(folder, weight_bytes(model))
    with unfinished_beside(folder) as work:
        _write(model, tokenizer, work / "model")
        wanted = expected(model, probe) if reference is None else reference
        result = _proof(work, work / "model", _architecture(model), _inputs(probe), wanted, "transformers")
        _replace(folder, work / "model")
    return result


def export_verified(
    form: Format, subject: Subject, folder: Path, probes: Sequence[Batch], reference: dict[str, Tensor] | None = None
) -> Verification:
    """Write a model in a format, open it in a fresh process by the format's runtime, and compare.

    Args:
        form: the format, whose `check` let the subject pass.
        subject: what is written.
        folder: the final name; appears only when all is verified.
        probes: inputs to compare on, of different shapes.
        reference: `expected_of_all` of the model that the written one has to equal; None: of the subject's once it is written, as
            for `save_verified`.

    Raises:
        UnknownFormat: the format cannot hold the model.
        VerificationFailed: what was written cannot be opened, or gives other logits, text or tokens.
        StorageError: there is too little room, or the disk is not writable.
    """
    held = sum(tensor.nbytes for tensor in (reference or {}).values())
    check_room(folder, form.bytes_needed(subject) + held, "--output")
    inputs = {f"{i}/{name}": value for i, probe in enumerate(probes) for name, value in _inputs(probe).items()}
    with unfinished_beside(folder, "--output") as work:
        (work / "model").mkdir()
        form.write(subject, work / "model")
        if reference is None:
            reference = expected_of_all(subject.model, subject.tokenizer, probes)
        file = Path(form.__file__)
        result = _proof(
            work,
            work / "model" / form.MAIN,
            "causal" if subject.causal else "classification",
            inputs,
            reference,
            form.RUNTIME,
            file,
        )
        _replace(folder, work / "model")
    return result


def check_room(folder: Path, needed: int, option: str = "--home") -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        folder: what will be written.
        needed: bytes of the weights.
        option: with which a person chooses another place.

    Raises:
        StorageError: less is free.
    """
    needed += BESIDE_WEIGHTS
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StorageError(
            f"{folder} needs {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free there; make room or choose another "
            f"place with {option}; nothing was written"
        )


def _proof(
    work: Path,
    path: Path,
    architecture: str,
    inputs: dict[str, Tensor],
    reference: dict[str, Tensor],
    runtime: str,
    form: Path | None = None,
) -> Verification:
    save_file(inputs, work / "inputs.safetensors")
    words = (path, architecture, work / "inputs.safetensors", work / "found.safetensors")
    problem = verify.in_fresh_process(*words, form) if form else verify.in_fresh_process(*words)
    if problem:
        raise VerificationFailed(
            f"the saved model cannot be opened by {runtime} in a new process: {problem}; it was not kept"
        )
    return _compare(load_file(work / "found.safetensors"), reference)


def _write(model: Any, tokenizer: Any, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _replace(folder: Path, finished: Path) -> None:
    if folder.exists():  # out of the way first: whatever happens now, one of the two is whole
        folder.replace(finished.with_name("before"))
    finished.replace(folder)


def expected(model: Any, probe: Batch, *, cached: bool = True) -> dict[str, Tensor]:
    """What a model gives for the probe: logits, and greedy text for a language model.

    Args:
        model: in evaluation mode.
        probe: inputs of the task.
        cached: also make the text with the key-value cache; not with layers skipped, they leave holes in the cache.
    """
    device = next(model.parameters()).device
    inputs = {name: value.to(device) for name, value in _inputs(probe).items()}
    caches = () if _architecture(model) != "causal" else (False, True) if cached else (False,)
    return {name: value.cpu() for name, value in verify.outputs(model, inputs, caches).items()}


def expected_of_all(model: Any, tokenizer: Any, probes: Sequence[Batch], *, cached: bool = True) -> dict[str, Tensor]:
    """`expected` of several probes, and the token ids of some texts."""
    found = {
        f"{i}/{name}": t for i, each in enumerate(probes) for name, t in expected(model, each, cached=cached).items()
    }
    return found | {"token_ids": verify.token_ids(tokenizer)}


def _compare(found: dict[str, Tensor], reference: dict[str, Tensor]) -> Verification:
    differences, same_text = [], None
    for name in (name for name in reference if name.endswith("logits")):
        scale = float(reference[name].abs().max()) or 1.0
        differences.append((found[name] - reference[name]).abs().max() / scale)
        batch = name.removesuffix("logits")
        texts = [found[batch + kind] for kind in ("text", "text_without_cache") if batch + kind in found]
        if texts:
            wanted = reference[f"{batch}text_without_cache"]
            same_text = same_text is not False and all(torch.equal(text, wanted) for text in texts)
    difference = float(torch.stack(differences).max())
    if not difference <= TOLERANCE or same_text is False:  # NaN is not within the tolerance either
        raise VerificationFailed(
            f"the saved model is not the model in memory: logits differ by {difference:.2g} of the largest (allowed "
            f"{TOLERANCE:g}){', and its greedy text is another' if same_text is False else ''}; it was not kept"
        )
    if "token_ids" in reference and not torch.equal(found["token_ids"], reference["token_ids"]):
        raise VerificationFailed(
            "the saved tokenizer is not the one in memory: it gives other tokens for the same text; the model was not kept"
        )
    return Verification(max_logit_difference=difference, same_text=same_text, reloaded_in_fresh_process=True)


def _inputs(probe: Batch) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in probe.inputs.items()}


def _architecture(model: Any) -> str:
    return "classification" if type(model).__name__.endswith("ForSequenceClassification") else "causal"
