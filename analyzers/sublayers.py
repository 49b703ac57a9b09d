"""The parts of blocks that are added to the hidden states, attention and MLP, as layers of their own.

In a block with the normalisation before its parts, h + attention(norm(h)) and then h + mlp(norm(h)), each part can be left
out alone: it then adds nothing (EvoPress, arXiv 2410.14649; attention drop, arXiv 2406.15786). Which modules these are is
told by trying: with all of them giving zeros, a block gives back exactly what it was given. A block that normalises after
the sum, as BERT's, fails that, and is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from analyzers.errors import ModelError
from analyzers.layers import LayeredModel, frozen, replaced
from analyzers.stacks import Block


@dataclass
class Part(Block):
    """A part of a block, with the normalisation that works for it alone and goes with it."""

    norm: nn.Module | None = None

    @property
    def parameters(self) -> int:
        modules = [self.module] if self.norm is None else [self.module, self.norm]
        return sum(parameter.numel() for module in modules for parameter in module.parameters())


class SubLayers(LayeredModel):
    """A model seen as the parts of its blocks: skipping one leaves out what it adds.

    Indices count parts in the order in which they run: block 0's attention is 0, its MLP 1, block 1's attention 2. What is
    replayed begins with whole blocks; a set that is watched at a part is replayed from the block that holds it.
    """

    def __init__(self, model: nn.Module, probe: Mapping[str, Tensor]) -> None:
        """Find the parts.

        Args:
            model: any module.
            probe: inputs of a short forward pass.

        Raises:
            NoBlocks: no stack was found.
            ModelError: parts of its blocks cannot be left out alone.
        """
        super().__init__(model)
        self._probe = probe
        self.whole = LayeredModel(model)
        self.whole.room = self.room
        found = _find(self.whole, probe)
        self.groups: list[frozenset[int]] = []  # the parts of each block
        self.blocks = []
        for parts in found:
            start = len(self.blocks)
            self.groups.append(frozenset(range(start, start + len(parts))))
            for part in parts:
                part.index = len(self.blocks)
                self.blocks.append(part)
        self._block_of = [block for block, group in enumerate(self.groups) for _ in group]
        self._check(probe)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.model, self._probe)

    @contextmanager
    def skipping(self, skip: set[int] | frozenset[int]) -> Iterator[None]:
        """The parts in `skip` add nothing; a block without any part does not run."""
        gone = {block for block, group in enumerate(self.groups) if group <= skip}
        alone = [part for part in skip if self._block_of[part] not in gone]
        with (
            self.whole.skipping(gone),
            replaced({self.blocks[i].module: self._instead(i, torch.zeros_like) for i in alone}),
        ):
            yield

    @contextmanager
    def replaying(self, start: int, hidden: Tensor) -> Iterator[None]:
        """Blocks before that of part `start`, its first, do not run: see `LayeredModel.replaying`."""
        with self.whole.replaying(self._block_of[start], hidden):
            yield

    @contextmanager
    def watching_inputs(self, layers: set[int]) -> Iterator[dict[int, Tensor]]:
        """The inputs of the blocks that hold these parts, by the first part of each; there when the context is left."""
        found: dict[int, Tensor] = {}
        with self.whole.watching_inputs({self._block_of[part] for part in layers}) as seen:
            yield found
        found.update({min(self.groups[block]): hidden for block, hidden in seen.items()})

    @torch.no_grad()
    def _check(self, probe: Mapping[str, Tensor]) -> None:
        """That a block whose parts add nothing gives back what it was given."""
        changed: list[int] = []

        def compare(index: int, given: Tensor, output: Tensor) -> None:
            if given.shape != output.shape or not torch.equal(given, output):
                changed.append(index)

        with (
            frozen(self.model),
            replaced({part.module: self._instead(part.index, torch.zeros_like) for part in self.blocks}),
            self.whole.capturing(compare),
        ):
            self.model(**probe)
        if changed:
            raise _inseparable(self.whole, changed[0])


@torch.no_grad()
def _find(whole: LayeredModel, probe: Mapping[str, Tensor]) -> list[list[Part]]:
    """The composed members of each block that take and give hidden states, in the order in which they run."""
    taken: dict[nn.Module, Tensor] = {}
    made: dict[nn.Module, Tensor] = {}

    def watch(module: nn.Module) -> Callable[..., None]:
        def keep(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            given = args[0] if args else next(iter(kwargs.values()), None)
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(given, Tensor) and isinstance(first, Tensor):
                taken[module], made[module] = given, first

        return keep

    members = [dict(block.module.named_children()) for block in whole.blocks]
    handles = [m.register_forward_hook(watch(m), with_kwargs=True) for each in members for m in each.values()]
    try:
        with frozen(whole.model):
            whole.model(**probe)
    finally:
        for handle in handles:
            handle.remove()
    order = {module: place for place, module in enumerate(taken)}  # hooks filled it as the modules ran
    found = []
    for block, children in zip(whole.blocks, members, strict=True):
        names = [
            name
            for name, module in children.items()
            if module in taken and any(True for _ in module.children()) and taken[module].shape == made[module].shape
        ]
        parts = [children[name] for name in sorted(names, key=lambda name: order[children[name]])]
        if not parts:
            raise _inseparable(whole, block.index)
        feeders = {part: _feeder(part, children, taken, made) for part in parts}
        paths = {module: f"{block.name}.{name}" for name, module in children.items()}
        uses = list(feeders.values())
        found.append(
            [
                Part(0, paths[part], part, block.container, norm=norm if uses.count(norm) == 1 else None)
                for part, norm in feeders.items()
            ]
        )
    return found


def _feeder(
    part: nn.Module,
    children: Mapping[str, nn.Module],
    taken: Mapping[nn.Module, Tensor],
    made: Mapping[nn.Module, Tensor],
) -> nn.Module | None:
    """The member whose output the part is given: its normalisation."""
    return next((m for m in children.values() if m is not part and m in made and made[m] is taken[part]), None)


def _inseparable(whole: LayeredModel, index: int) -> ModelError:
    block = whole.blocks[index]
    return ModelError(
        f"the parts of {type(block.module).__name__} ({block.name}) cannot be left out alone: it does more with what they "
        "give than to add it to what it was given (such as to normalise the sum); only whole blocks can be removed: use "
        "--granularity block"
    )
