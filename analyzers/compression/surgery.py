"""Taking blocks out of a model for good, so that plain transformers opens what is left."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from analyzers.compression.configuration import Skeleton, changes, heirlooms, is_position, mended, skeleton
from analyzers.errors import BadTarget, ModelError
from analyzers.layers import LayeredModel, frozen
from analyzers.stacks import Block

TOLERANCE = 1e-3  # of the largest output


def remove_blocks(model: Any, remove: Sequence[int], probe: Mapping[str, Tensor] | None = None) -> Any:
    """A copy of the model without some blocks. The model given is not changed.

    What a removed block holds for others goes to the next one: T5's first block has the table of the position bias.

    Args:
        model: a transformers model.
        remove: indices of blocks in this model, 0-based.
        probe: inputs of a forward pass on which the smaller model has to equal the model with the blocks skipped. Some
            models do something between their blocks that only a forward pass shows.

    Raises:
        BadTarget: an index that is not there, or none would be left in a stack.
        ModelError: the smaller model could not be opened again from its configuration, or would compute something else.
    """
    blocks = LayeredModel(model).blocks
    stacks = [[b for b in blocks if b.container is container] for container in {b.container: None for b in blocks}]
    kept = [
        [position for position, member in enumerate(_members(s)) if member not in _chosen(s, remove)] for s in stacks
    ]
    if set(remove) - set(range(len(blocks))) or not all(kept):
        whole = "not all" if len(stacks) == 1 else "at least one of each stack is left"
        raise BadTarget(
            f"cannot remove layers {sorted(remove)} of {len(blocks)}; allowed are some of 0 to {len(blocks) - 1}, {whole}"
        )
    if not hasattr(model, "config"):
        raise ModelError(
            f"{type(model).__name__} has no configuration, so a smaller one could not be opened again; only models of "
            "transformers can be made smaller: measure this one with layers skipped"
        )
    pruned = copy.deepcopy(model)
    for stack, positions in zip(stacks, kept, strict=True):
        if len(positions) < len(_members(stack)):
            _cut(pruned, stack[0].name.rpartition(".")[0], positions)
    if probe is not None:
        _check_same(model, pruned, remove, probe)
    return pruned


@torch.no_grad()
def _check_same(model: Any, pruned: Any, remove: Sequence[int], probe: Mapping[str, Tensor]) -> None:
    with frozen(model), LayeredModel(model).skipping(set(remove)):
        expected = _outputs(model, probe)
    with frozen(pruned):
        found = _outputs(pruned, probe)
    difference = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(expected, found, strict=True))
    if not difference <= TOLERANCE:  # NaN is not within the tolerance either
        raise ModelError(
            f"{type(model).__name__} without layers {sorted(remove)} gives other outputs than with them skipped (they differ by "
            f"{difference:.2g} of the largest, allowed {TOLERANCE:g}): something beside the layers goes by their positions; "
            "remove others, or only measure the model with layers skipped"
        )


def _outputs(model: Any, probe: Mapping[str, Tensor]) -> list[Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)  # some shuffle their input, also in evaluation mode
        output = model(**probe)
    return [item.float() for item in output.to_tuple() if isinstance(item, Tensor)]


def _members(stack: Sequence[Block]) -> list[nn.Module]:
    """All that stands in the list, blocks or not."""
    return list(stack[0].container)


def _chosen(stack: Sequence[Block], remove: Sequence[int]) -> list[nn.Module]:
    return [block.module for block in stack if block.index in set(remove)]


def _cut(model: Any, stack: str, kept: Sequence[int]) -> None:
    """Leave some members in a list, and make everything that knows of its length agree."""
    before = skeleton(model, model.config.to_dict())
    after = mended(model, stack, kept, before)
    container = model.get_submodule(stack)
    members = list(container)
    for path in heirlooms(before, after, stack, kept):
        new, _, part = path.removeprefix(f"{stack}.").partition(".")
        _inherit(model, before, after, path, f"{stack}.{kept[int(new)]}.{part}")
    del container[:]
    for position, old in enumerate(kept):
        container.append(members[old])
        _renumber(members[old], old, position)
    _adopt_outside(model, before, after, stack)


def _inherit(model: nn.Module, before: Skeleton, after: Skeleton, given: str, wanted: str) -> None:
    """Hang a part of a removed block, at the path `given`, into the block that follows it, at `wanted`."""
    parent, _, name = wanted.rpartition(".")
    setattr(model.get_submodule(parent), name, model.get_submodule(given))
    _adopt(model.get_submodule(parent), before.get_submodule(parent), after.get_submodule(given.rpartition(".")[0]))


def _renumber(block: nn.Module, old: int, position: int) -> None:
    for part in block.modules():
        for name, value in list(vars(part).items()):
            if is_position(name, value, position, old, position):
                setattr(part, name, position)


def _adopt_outside(model: nn.Module, before: Skeleton, after: Skeleton, stack: str) -> None:
    """Take over what the smaller model knows of its depth: in configurations, which parts may have copies of, and parts."""
    parts = dict(model.named_modules())
    for name, part in after.named_modules():
        if name not in parts or name.startswith(f"{stack}."):
            continue
        _adopt(parts[name], before.get_submodule(name), part)
        if hasattr(part, "config"):
            _adopt_config(parts[name].config, before.get_submodule(name).config, part.config)


def _adopt(target: object, before: object, after: object) -> None:
    for name, value in changes(before, after).items():
        setattr(target, name, value)


def _adopt_config(target: Any, before: Any, after: Any) -> None:
    for name, value in vars(after).items():
        if hasattr(value, "to_dict") and hasattr(getattr(target, name, None), "to_dict"):
            _adopt_config(getattr(target, name), getattr(before, name), value)
        elif vars(before).get(name) != value:
            setattr(target, name, copy.deepcopy(value))
