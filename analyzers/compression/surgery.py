"""Taking blocks out of a model for good, and mending its configuration so that plain transformers opens it again."""

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn

from analyzers.errors import BadTarget, ModelError
from analyzers.layers import LayeredModel


def remove_blocks(model: Any, remove: Sequence[int]) -> Any:
    """A copy of the model without some blocks. The model given is not changed.

    Args:
        model: a transformers model.
        remove: indices of blocks in this model, 0-based.

    Raises:
        BadTarget: an index that is not there, or none would be left.
        ModelError: the configuration has no field for the depth, so the smaller model could not be opened again.
    """
    layers = len(LayeredModel(model))
    unknown = sorted(set(remove) - set(range(layers)))
    if unknown or len(set(remove)) >= layers:
        raise BadTarget(
            f"cannot remove layers {sorted(remove)} of {layers}; allowed are some of 0 to {layers - 1}, not all"
        )
    pruned = copy.deepcopy(model)
    kept = [block for block in LayeredModel(pruned).blocks if block.index not in set(remove)]
    container = kept[0].container
    if any(block.container is not container for block in LayeredModel(pruned).blocks):
        raise ModelError(
            f"{type(model).__name__} has more than one stack of blocks; only models with one stack can be made smaller"
        )
    modules = [block.module for block in kept]
    del container[:]
    for position, module in enumerate(modules):
        container.append(module)
        _renumber(module, position)
    _mend(pruned.config, layers, [block.index for block in kept])
    return pruned


def _renumber(block: nn.Module, position: int) -> None:
    """Parts that use the key-value cache know their own position."""
    for part in block.modules():
        for name in ("layer_idx", "layer_id"):
            if isinstance(getattr(part, name, None), int):
                setattr(part, name, position)


def _mend(config: Any, layers: int, kept: Sequence[int]) -> None:
    """The depth, and every list with one entry a layer (such as layer_types)."""
    if getattr(config, "num_hidden_layers", None) != layers:
        raise ModelError(
            f"the configuration of {config.model_type} has no field that says it has {layers} layers; without one the "
            "smaller model could not be opened again"
        )
    # Through the common name: a configuration that calls it n_layer maps it.
    config.num_hidden_layers = len(kept)
    for name, value in list(vars(config).items()):
        one_each = isinstance(value, list | tuple) and len(value) == layers
        if one_each and name != "architectures" and not name.endswith("_token_id"):  # a model may have several ends
            setattr(config, name, type(value)(value[index] for index in kept))
