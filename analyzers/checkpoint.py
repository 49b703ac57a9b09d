"""Files of a training that are replaced whole or not at all, and what of a model is in them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from analyzers.errors import StorageError


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside the file, then take its place: whoever reads sees the old file or the new one."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def fitted(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: parameters that require a gradient, and buffers such as running means."""
    kept = model.state_dict().keys()
    found: dict[str, Tensor] = {name: each for name, each in model.named_parameters() if each.requires_grad}
    found |= {name: each for name, each in model.named_buffers() if name in kept}
    return {name: each.detach().contiguous() for name, each in found.items()}


def load_fitted(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Give a model what `fitted` gave of one like it.

    Raises:
        KeyError: it was another model.
    """
    if weights.keys() != fitted(model).keys():
        raise KeyError("weights of another model")
    model.load_state_dict(weights, strict=False)


def save_tensors(state: dict[str, Any], path: Path) -> None:
    """Write a state with its tensors.

    Raises:
        OSError: the disk is full or not writable.
    """
    try:
        with path.open("wb") as file:  # through a file of Python's own, a full disk is an OSError
            torch.save(state, file)
    except RuntimeError as error:  # unless the archive is closed upon it
        raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None


@contextmanager
def whole_or_not(folder: Path) -> Iterator[None]:
    """Around what writes to the folder of a training.

    Raises:
        StorageError: it could not be written.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise StorageError(
            f"cannot write to {folder}: {reason}; make room and go on with the same command and --resume"
        ) from error
