"""Saving a model so that it is either whole and verified under its name, or not there."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from analyzers.compression import verify
from analyzers.errors import StorageError, VerificationFailed
from analyzers.records import Verification
from analyzers.tasks import Batch

TOLERANCE = 1e-3  # of the largest logit


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Save a model as a Hugging Face folder, whole or not at all.

    Raises:
        StorageError: the disk is full or not writable.
    """
    with _unfinished(folder) as work:
        _write(model, tokenizer, work / "model")
        _replace(folder, work / "model")


def save_verified(model: Any, tokenizer: Any, folder: Path, probe: Batch, reference: dict[str, Tensor]) -> Verification:
    """Save a model as a Hugging Face folder, open it in a fresh process, and compare with what it has to give.

    Args:
        model: what is saved.
        tokenizer: saved beside it.
        folder: the final name; appears only when all is verified.
        probe: inputs to compare on.
        reference: `expected` of the model that the saved one has to equal.

    Raises:
        VerificationFailed: the saved model cannot be opened or gives other logits or other text.
        StorageError: the disk is full or not writable.
    """
    with _unfinished(folder) as work:
        _write(model, tokenizer, work / "model")
        save_file(_inputs(probe), work / "inputs.safetensors")
        problem = verify.in_fresh_process(
            work / "model", _architecture(model), work / "inputs.safetensors", work / "found.safetensors"
        )
        if problem:
            raise VerificationFailed(
                f"the saved model cannot be opened by transformers in a new process: {problem}; it was not kept"
            )
        result = _compare(load_file(work / "found.safetensors"), reference)
        _replace(folder, work / "model")
    return result


@contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A folder beside the final one, for what is not yet known to be whole."""
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=folder.parent) as name:
            yield Path(name)


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


def _compare(found: dict[str, Tensor], reference: dict[str, Tensor]) -> Verification:
    scale = float(reference["logits"].abs().max()) or 1.0
    difference = float((found["logits"] - reference["logits"]).abs().max()) / scale
    texts = [found[name] for name in ("text", "text_without_cache") if name in found]
    same_text = all(torch.equal(text, reference["text_without_cache"]) for text in texts) if texts else None
    if not difference <= TOLERANCE or same_text is False:  # NaN is not within the tolerance either
        raise VerificationFailed(
            f"the saved model is not the model in memory: logits differ by {difference:.2g} of the largest (allowed "
            f"{TOLERANCE:g}){', and its greedy text is another' if same_text is False else ''}; it was not kept"
        )
    return Verification(max_logit_difference=difference, same_text=same_text, reloaded_in_fresh_process=True)


def _inputs(probe: Batch) -> dict[str, Tensor]:
    return {name: value.contiguous() for name, value in probe.inputs.items()}


def _architecture(model: Any) -> str:
    return "classification" if type(model).__name__.endswith("ForSequenceClassification") else "causal"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full or closed disk into one message.

    Raises:
        StorageError: in the place of the OSError of a full, read-only or forbidden file system.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        closed = getattr(error, "errno", None) in (errno.EROFS, errno.EACCES, errno.EPERM)
        if not full and not closed:
            raise
        what = "the disk is full" if full else "the folder is not writable"
        raise StorageError(
            f"{what}: {path} was not saved; make room or choose another place with --home; finished runs are kept"
        ) from error
