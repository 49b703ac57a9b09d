"""The blocks of a model: skipped, captured, replayed.

A block is one of a stack of repeated modules that take hidden states and give hidden states of the same shape. Its
index is its position in the model as loaded, 0-based; where a model has several stacks (an encoder and a decoder, the
stages of an image model, two towers) the index runs through all of them.
"""

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from analyzers.errors import ModelError, NoBlocks
from analyzers.records import Layer
from analyzers.room import Room
from analyzers.stacks import Block, find_blocks, is_shared

Reducer = Callable[[int, Tensor, Tensor], None]
"""Called with (index, input, output) of a block; both tensors are (batch, tokens, width)."""


class LayeredModel:
    """A model seen as its blocks. The model itself is not changed; what a context changes is restored on leaving it."""

    def __init__(self, model: nn.Module, least: int = 2) -> None:
        """Find the blocks.

        Args:
            model: any module.
            least: shortest list that is a stack. 2 where layers are compared; 1 where a model that was made smaller is
                only measured or trained, for it may have one layer left.

        Raises:
            NoBlocks: no stack was found.
        """
        self.model, self._least = model, least
        self.blocks: list[Block] = find_blocks(model, least)
        if not self.blocks:
            raise NoBlocks(_why_none(model))
        self.room = Room()  # how much of a batch goes through it at once
        # The last block of each stack but the last: what goes from one stack to the next.
        self._ends = [a.index for a, b in pairwise(self.blocks) if a.container is not b.container]
        self._rest: dict[
            int, list[str | None] | None
        ] = {}  # what a block returns beside its hidden states, where it is known
        # What the earlier stacks gave when the input of a block was watched; forgotten with that input.
        self._earlier: MutableMapping[Tensor, dict[int, Tensor]] = WeakTensorKeyDictionary()

    def __reduce__(self) -> tuple[Any, ...]:
        # All else follows from the model, and what was remembered of past forward passes is of no use elsewhere.
        return type(self), (self.model, self._least)

    def __len__(self) -> int:
        return len(self.blocks)

    @property
    def layers(self) -> list[Layer]:
        return [Layer(index=b.index, name=b.name, parameters=b.parameters) for b in self.blocks]

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def replayable(self) -> bool:
        """Whether there is one stack: what block j receives then says all about the blocks before it."""
        return not self._ends

    @contextmanager
    def skipping(self, skip: set[int] | frozenset[int]) -> Iterator[None]:
        """The blocks in `skip` become identities that return what the block's kind returns.

        What a block makes for later blocks beside its hidden states is made all the same: T5's first block computes the
        position bias of its whole stack, and that goes on when the block is skipped.
        """
        with replaced({self.blocks[i].module: self._instead(i, _unchanged) for i in skip}):
            yield

    @contextmanager
    def replaying(self, start: int, hidden: Tensor) -> Iterator[None]:
        """Blocks before `start` do not run; block `start` receives `hidden`, its input as it was watched or captured.

        The call still goes through the model's own forward, so masks and rotary embeddings are the model's own. The
        last block of each earlier stack gives what it gave when `hidden` was watched: a decoder reads its encoder again.

        Raises:
            ModelError: there is a stack before that of `start`, and `hidden` does not come from `watching_inputs`.
        """
        ends = [end for end in self._ends if end < start]
        earlier = self._earlier.get(hidden, {}) if start else {}
        if missing := [end for end in ends if end not in earlier]:
            raise ModelError(
                f"{type(self.model).__name__} has several stacks of blocks and cannot go on at block {start} from one hidden "
                f"state: what block {missing[0]} gave is missing; watch the input of block {start}, or run it from the beginning"
            )
        stubs = {
            self.blocks[i].module: self._instead(i, _always(earlier[i]) if i in earlier else _unchanged)
            for i in range(start)
        }
        handles = []
        try:
            if start:
                handles.append(_giving(self.blocks[start].module, lambda _: hidden))
            with replaced(stubs):
                yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def giving(self, index: int, output: Tensor) -> Iterator[None]:
        """Block `index` does not run; it gives `output` (batch, tokens, width)."""
        with replaced({self.blocks[index].module: self._instead(index, _always(output))}):
            yield

    @contextmanager
    def capturing(self, reducer: Reducer) -> Iterator[None]:
        """Give the input and output of each block that runs to `reducer`, as they appear; nothing is kept."""

        def hook(index: int) -> Callable[..., None]:
            def reduce(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
                reducer(index, _hidden_in(module, args, kwargs), _hidden_out(output))

            return reduce

        handles = [b.module.register_forward_hook(hook(b.index), with_kwargs=True) for b in self.blocks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def watching_inputs(self, layers: set[int]) -> Iterator[dict[int, Tensor]]:
        """Keep the input of some blocks, replaced or not, in the dictionary that this yields, to be replayed from there.

        A block is left out when one that comes before it runs after it, or one that comes after it runs before it (the
        second of two towers, blocks that are used twice): its input does then not stand for what came before.
        """
        seen: dict[int, Tensor] = {}
        given: dict[int, Tensor] = {}
        latest = -1

        def enter(index: int) -> Callable[..., None]:
            def keep(module: nn.Module, args: Any, kwargs: Any) -> None:
                nonlocal latest
                for depth in [depth for depth in seen if depth >= index]:
                    del seen[depth]
                if index in layers and index > latest:
                    seen[index] = _hidden_in(module, args, kwargs)
                    self._earlier[seen[index]] = {end: given[end] for end in self._ends if end < index and end in given}
                latest = max(latest, index)

            return keep

        def leave(index: int) -> Callable[..., None]:
            def keep(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001
                given[index] = _hidden_out(output)

            return keep

        handles = [b.module.register_forward_pre_hook(enter(b.index), with_kwargs=True) for b in self.blocks]
        handles += [self.blocks[end].module.register_forward_hook(leave(end)) for end in self._ends]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def differentiating_activations(self) -> Iterator[None]:
        """Gradients flow back to the input of block 0 and no parameter collects one: activations are all that is paid for."""
        with frozen(self.model), torch.enable_grad():
            handle = _giving(self.blocks[0].module, lambda hidden: hidden.detach().requires_grad_())
            try:
                yield
            finally:
                handle.remove()

    def _instead(self, index: int, change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
        """A forward that gives what `change` makes of its input, in the structure that the block returns."""
        module = self.blocks[index].module
        original = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = _hidden_in(module, args, kwargs)
            passed = change(given)
            if index not in self._rest:
                output = original(*args, **kwargs)
                self._check_shape(index, given, _hidden_out(output))
                rest = output[1:] if isinstance(output, tuple) else None
                self._learn(index, rest, _named(module, args, kwargs))
                return passed if rest is None else (passed, *rest)
            names = self._rest[index]
            if names is None:
                return passed
            named = _named(module, args, kwargs)
            return passed, *(None if name is None else named[name] for name in names)

        return forward

    def _learn(self, index: int, rest: tuple[Any, ...] | None, named: dict[str, Any]) -> None:
        """Remember what stands beside the hidden states, unless the block makes it: then it has to run each time."""
        if rest is None:
            self._rest[index] = None
            return
        names = [next((name for name, value in named.items() if value is item), None) for item in rest]
        if all(item is None or name for item, name in zip(rest, names, strict=True)):
            self._rest[index] = [None if item is None else name for item, name in zip(rest, names, strict=True)]

    def _check_shape(self, index: int, given: Tensor, returned: Tensor) -> None:
        if returned.shape != given.shape:
            raise ModelError(
                f"block {index} ({self.blocks[index].name}) turns {tuple(given.shape)} into {tuple(returned.shape)}; only "
                "blocks that keep the shape can be skipped: choose others"
            )


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no parameter requires a gradient; both as before on leaving."""
    modes = {module: module.training for module in model.modules()}
    wanted = {parameter: parameter.requires_grad for parameter in model.parameters()}
    model.eval()
    model.requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
        for parameter, requires_grad in wanted.items():
            parameter.requires_grad_(requires_grad)


def _unchanged(hidden: Tensor) -> Tensor:
    return hidden


def _always(output: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda _: output


@contextmanager
def replaced(forwards: dict[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Other forwards for some modules. Set on the instance, so deleting them brings the class's own back."""
    before = {module: module.__dict__.get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        for module, own in before.items():
            if own is None:
                module.__dict__.pop("forward", None)
            else:
                module.forward = own


def _giving(module: nn.Module, change: Callable[[Tensor], Tensor]) -> RemovableHandle:
    """The module receives other hidden states than it is called with."""

    def receive(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        hidden = change(_hidden_in(module, args, kwargs))
        return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, _hidden_name(module): hidden})

    return module.register_forward_pre_hook(receive, with_kwargs=True)


def _named(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names."""
    names = list(inspect.signature(type(module).forward).parameters)[1:]  # after self
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _why_none(model: nn.Module) -> str:
    name = type(model).__name__
    if is_shared(model):
        depth = model.config.num_hidden_layers  # type: ignore[union-attr]
        return (
            f"{name} runs one block {depth} times: its {depth} layers share their parameters, so none can be measured or removed "
            "alone; give a model whose layers have parameters of their own"
        )
    return (
        f"{name} has no stack of two or more repeated blocks; layers can only be measured and "
        "removed where a model repeats one: give another model"
    )


def _hidden_name(module: nn.Module) -> str:
    return list(inspect.signature(type(module).forward).parameters)[1]  # after self


def _hidden_in(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    return args[0] if args else kwargs[_hidden_name(module)]


def _hidden_out(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
