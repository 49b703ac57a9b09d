"""Where the blocks of a model stand, told from its structure alone: no list of architectures, no forward pass."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from torch import nn

Container = nn.ModuleList | nn.Sequential


@dataclass
class Block:
    index: int
    name: str
    module: nn.Module
    container: Container = field(repr=False)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())


def find_blocks(model: nn.Module, least: int) -> list[Block]:
    """The members of every outermost stack, in the order in which the model names them.

    A stack is a list of modules of one class that have parts and parameters of their own. Where the members of a list are
    stages (each holds a stack, and their blocks are of different sizes), the blocks are those inside the stages, less
    those that have other parts or shapes than the rest of their stage: they take hidden states from the size of one stage
    to that of the next. One that is alone in its stage is a block; skipping tells whether it keeps the shape.

    Args:
        model: any module.
        least: shortest list that is a stack.
    """
    return [
        Block(index, name, module, container) for index, (name, module, container) in enumerate(_members(model, least))
    ]


def is_shared(model: nn.Module) -> bool:
    """Whether the configuration speaks of several layers and there is one block that does the work of all."""
    depth = getattr(getattr(model, "config", None), "num_hidden_layers", None)
    return isinstance(depth, int) and depth > 1 and len(find_blocks(model, 1)) == 1


def _members(model: nn.Module, least: int) -> Iterator[tuple[str, nn.Module, Container]]:
    inside: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if (inside and path.startswith(inside)) or len(children := _alike(module)) < least:
            continue
        inside = (*inside, f"{path}." if path else "")
        stages = _stages(children)
        if not stages:
            yield from ((_join(path, name), child, module) for name, child in children.items())
            continue
        for prefix, stack in stages.items():
            usual = _shapes(_last(stack))
            for name, child in _alike(stack).items():
                if _shapes(child) == usual:
                    yield _join(path, prefix, name), child, stack


def _alike(module: nn.Module) -> dict[str, nn.Module]:
    """The members of a list of modules of one class, each with parts and parameters; empty if it is none."""
    if not isinstance(module, Container):
        return {}
    children = dict(module.named_children())  # one that stands there twice is one
    composed = all(
        any(True for _ in child.children()) and any(True for _ in child.parameters()) for child in children.values()
    )
    return children if composed and len({type(child) for child in children.values()}) == 1 else {}


def _stack_inside(stage: nn.Module) -> tuple[str, Container] | None:
    """The largest stack inside, with its path."""
    found = [
        (path, module) for path, module in stage.named_modules() if isinstance(module, Container) and _alike(module)
    ]
    return max(found, key=lambda each: _size(each[1]), default=None)


def _stages(members: Mapping[str, nn.Module]) -> dict[str, Container]:
    """The stack inside each member by its path, if the members are stages; else empty."""
    found = [stack for member in members.values() if (stack := _stack_inside(member))]
    if len(found) < len(members):
        return {}
    last = [_shapes(_last(stack)) for _, stack in found]
    no_forward = all(isinstance(member, nn.ModuleList) for member in members.values())
    if not no_forward and all(one == other for one, other in pairwise(last)):
        return {}
    return {_join(name, path): stack for name, (path, stack) in zip(members, found, strict=True)}


def _last(stack: Container) -> nn.Module:
    return list(stack.children())[-1]


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _join(*names: str) -> str:
    return ".".join(name for name in names if name)
