"""Which fields of a configuration say how deep a stack is: found by trying, and proved by building the smaller model.

Models are built without memory for their weights ("meta"), from the configuration as it would be saved.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn

from analyzers.errors import ModelError

Path = tuple[str, ...]
Skeleton = nn.Module
PLAIN = (bool, int, float, str, type(None))


def skeleton(model: Any, config: dict[str, Any]) -> Skeleton:
    """The model that transformers builds from this configuration, without weights."""
    with torch.device("meta"):
        return type(model)(type(model.config).from_dict(config))


def mended(model: Any, stack: str, kept: Sequence[int], before: Skeleton) -> Skeleton:
    """A skeleton of the model with fewer members in one stack; its configuration is the one to save.

    A field is right when the model built from it has the members that were kept, and everything else is as before.

    Args:
        model: the complete model.
        stack: path of the list.
        kept: positions in the list.
        before: skeleton of the complete model.

    Raises:
        ModelError: no field does it, so the smaller model could not be opened again.
    """
    config = model.config.to_dict()
    depth = len(model.get_submodule(stack))
    reasons = []
    for field in _fields(config, depth) if _depth(before, stack) == depth else []:
        for lists in _lists(config, field, depth):
            try:
                after = skeleton(model, _changed(config, field, lists, kept))
            except Exception:  # noqa: BLE001 - a configuration can refuse a wrong value in any way: try the next
                continue
            if _depth(after, stack) != len(kept):
                break  # it is another field
            reason = _difference(before, after, stack, kept)
            if not reason:
                return after
            reasons.append(reason)
    if reasons:
        raise ModelError(
            f"{type(model).__name__} without these layers would be opened as another model: {reasons[0]}; remove others (the "
            "last ones of a stack, or whole periods of its pattern), or only measure the model with layers skipped"
        )
    raise ModelError(
        f"the configuration of {model.config.model_type} has no field that says it has {depth} layers; without one the "
        "smaller model could not be opened again"
    )


def _fields(config: dict[str, Any], depth: int) -> list[Path]:
    """Paths of the integers that equal the depth; those whose names speak of layers first."""

    def walk(value: Any, path: Path) -> Iterator[Path]:
        if isinstance(value, dict):
            for name, item in ((name, item) for name, item in value.items() if isinstance(name, str)):
                yield from walk(item, (*path, name))
        elif isinstance(value, list) and all(type(item) is int for item in value):  # depths of stages
            for position, item in enumerate(value):
                yield from walk(item, (*path, str(position)))
        elif type(value) is int and value == depth:
            yield path

    return sorted(walk(config, ()), key=lambda path: not re.search("layer|depth|block", ".".join(path)))


def _lists(config: dict[str, Any], field: Path, depth: int) -> list[list[Path]]:
    """Choices of lists beside the field that have one entry a layer (such as layer_types), the likeliest choice first."""
    owner = _at(config, field[:-1])
    if isinstance(owner, list):
        return [[]]
    # A model may have as many ends of text, or classes, as layers.
    found = [
        (*field[:-1], name)
        for name, value in owner.items()
        if isinstance(value, list)
        and len(value) == depth
        and name != "architectures"
        and not name.endswith("_token_id")
    ]
    by_name = [path for path in found if "layer" in path[-1]]
    return [choice for i, choice in enumerate((found, by_name, [])) if choice not in (found, by_name, [])[:i]]


def _changed(config: dict[str, Any], field: Path, lists: Sequence[Path], kept: Sequence[int]) -> dict[str, Any]:
    """A copy of a configuration with another depth."""
    changed = _copied(config)
    for path, value in chain(
        [(field, len(kept))], ((path, [_at(config, path)[position] for position in kept]) for path in lists)
    ):
        owner = _at(changed, path[:-1])
        owner[int(path[-1]) if isinstance(owner, list) else path[-1]] = value
    owner = _at(changed, field[:-1])
    if isinstance(owner, dict) and owner.get("out_indices") == [
        _at(config, field)
    ]:  # a backbone that gives its last layer
        for name in ("out_indices", "out_features", "stage_names"):
            owner.pop(name, None)
    return changed


def _difference(before: Skeleton, after: Skeleton, stack: str, kept: Sequence[int]) -> str | None:
    """What would be another in the smaller model, beside the positions of its layers; None if nothing."""
    inherited = heirlooms(before, after, stack, kept)
    had, has = _tensors(before), _tensors(after)
    pairs = [(f"{stack}.{old}.", f"{stack}.{position}.") for position, old in enumerate(kept)]
    for one, other in [("", ""), *pairs]:
        outside = f"{stack}." if not one else None
        names = {name.removeprefix(one) for name in had if name.startswith(one)}
        names |= {name.removeprefix(other) for name in has if name.startswith(other)}
        for name in sorted(names):
            if (outside and name.startswith(outside)) or f"{other}{name}".startswith(inherited):
                continue
            if had.get(one + name) != has.get(other + name):
                return (
                    f"{one}{name} is {had.get(one + name, 'not there')} and would be {has.get(other + name, 'missing')}"
                )
    for (one, other), old in zip(pairs, kept, strict=True):
        parts = dict(before.get_submodule(one[:-1]).named_modules())
        for path, part in after.get_submodule(other[:-1]).named_modules():
            if path not in parts or any(name.rpartition(".")[0] == f"{other}{path}" for name in inherited):
                continue
            for name, value in changes(parts[path], part).items():
                own = getattr(parts[path], name)
                if not is_position(name, own, value, old, int(other.split(".")[-2])):
                    return f"{one}{path}".rstrip(".") + f" has {name} {own} and would get {value}"
    return None


def heirlooms(before: Skeleton, after: Skeleton, stack: str, kept: Sequence[int]) -> tuple[str, ...]:
    """Parts that the smaller model has in a block where the block kept has none, and the one removed from there has one.

    T5 has the table of its position bias in the first block: the next block inherits it.

    Returns:
        paths in the smaller model.
    """
    found: list[str] = []
    for position, old in enumerate(kept):
        if position in kept:  # that block keeps what it has
            continue
        own = dict(before.get_submodule(f"{stack}.{old}").named_modules())
        removed = {name: _tensors(part) for name, part in before.get_submodule(f"{stack}.{position}").named_modules()}
        for name, part in after.get_submodule(f"{stack}.{position}").named_modules():
            if name not in own and _tensors(part) and removed.get(name) == _tensors(part):
                found.append(f"{stack}.{position}.{name}")
    return tuple(found)


def changes(before: object, after: object) -> dict[str, Any]:
    """Plain attributes that are another: numbers, switches, words. Rates of dropout do not count: they only train."""
    return {
        name: value
        for name, value in vars(after).items()
        if isinstance(value, PLAIN)
        and not name.startswith("_")
        and "drop" not in name
        and name in vars(before)
        and vars(before)[name] != value
    }


def is_position(name: str, old_value: Any, value: Any, old: int, position: int) -> bool:
    """Whether an attribute is the position of its block: parts that use the key-value cache know it."""
    whole = type(old_value) is type(value) is int  # not a switch: True equals 1
    return whole and (old_value, value) == (old, position) and bool(re.search("idx|index|layer_id", name))


def _depth(model: nn.Module, stack: str) -> int:
    return len(list(model.get_submodule(stack).children()))


def _tensors(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def _at(config: Any, path: Sequence[str]) -> Any:
    for name in path:
        config = config[int(name) if isinstance(config, list) else name]
    return config


def _copied(config: Any) -> Any:
    if isinstance(config, dict):
        return {name: _copied(item) for name, item in config.items()}
    return [_copied(item) for item in config] if isinstance(config, list) else config
