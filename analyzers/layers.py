"""The blocks of a model: found by structure, skipped, captured, replayed.

A block is one of a stack of repeated modules that take hidden states and give hidden states of the same shape. Its
index is its position in the model as loaded, 0-based.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from analyzers.errors import ModelError, NoBlocks
from analyzers.records import Layer

Reducer = Callable[[int, Tensor, Tensor], None]
"""Called with (index, input, output) of a block; both tensors are (batch, tokens, width)."""


@dataclass
class Block:
    index: int
    name: str
    module: nn.Module
    container: nn.ModuleList | nn.Sequential = field(repr=False)

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())


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
        self.model = model
        self.blocks = [
            Block(index, name, module, container)
            for index, (name, module, container) in enumerate(_repeated_blocks(model, least))
        ]
        if not self.blocks:
            raise NoBlocks(
                f"{type(model).__name__} has no stack of two or more repeated blocks; layers can only be measured and "
                "removed where a model repeats one: give another model"
            )
        self._extras: dict[int, tuple[Any, ...] | None] = {}  # what a block returns beside its hidden states

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
        """Whether what block j receives says all about the blocks before it. Not so for an encoder and a decoder."""
        return len({id(block.container) for block in self.blocks}) == 1

    @contextmanager
    def skipping(self, skip: set[int] | frozenset[int]) -> Iterator[None]:
        """The blocks in `skip` become identities that return what the block's kind returns."""
        with _replaced({self.blocks[i].module: self._identity(i) for i in skip}):
            yield

    @contextmanager
    def replaying(self, start: int, hidden: Tensor) -> Iterator[None]:
        """Blocks before `start` do not run; block `start` receives `hidden` (batch, tokens, width).

        The call still goes through the model's own forward, so masks and rotary embeddings are the model's own.

        Raises:
            ModelError: the model is not `replayable`.
        """
        if start and not self.replayable:
            raise ModelError(
                f"{type(self.model).__name__} has several stacks of blocks and cannot go on from one hidden state; only "
                "models with one stack can: run it from the beginning"
            )
        stubs = {self.blocks[i].module: self._identity(i) for i in range(1, start)}
        if start:
            stubs[self.blocks[0].module] = self._identity(0, hidden)
        with _replaced(stubs):
            yield

    @contextmanager
    def giving(self, index: int, output: Tensor) -> Iterator[None]:
        """Block `index` does not run; it gives `output` (batch, tokens, width)."""
        with _replaced({self.blocks[index].module: self._identity(index, output)}):
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
        """Keep the input of some blocks, replaced or not, in the dictionary that this yields."""
        seen: dict[int, Tensor] = {}

        def hook(index: int) -> Callable[..., None]:
            def keep(module: nn.Module, args: Any, kwargs: Any) -> None:
                seen[index] = _hidden_in(module, args, kwargs)

            return keep

        handles = [self.blocks[i].module.register_forward_pre_hook(hook(i), with_kwargs=True) for i in layers]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def differentiating_activations(self) -> Iterator[None]:
        """Gradients flow back to the input of block 0 and no parameter collects one: activations are all that is paid for."""

        def leaf(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
            hidden = _hidden_in(module, args, kwargs).detach().requires_grad_()
            return ((hidden, *args[1:]), kwargs) if args else (args, {**kwargs, _hidden_name(module): hidden})

        with frozen(self.model), torch.enable_grad():
            handle = self.blocks[0].module.register_forward_pre_hook(leaf, with_kwargs=True)
            try:
                yield
            finally:
                handle.remove()

    def _identity(self, index: int, hidden: Tensor | None = None) -> Callable[..., Any]:
        """A forward that returns its input (or `hidden`) in the structure that the block returns."""
        module = self.blocks[index].module
        original = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            given = _hidden_in(module, args, kwargs)
            if index not in self._extras:
                self._extras[index] = self._structure(index, given, original(*args, **kwargs))
            passed = given if hidden is None else hidden
            extras = self._extras[index]
            return passed if extras is None else (passed, *extras)

        return forward

    def _structure(self, index: int, given: Tensor, output: Any) -> tuple[Any, ...] | None:
        returned = _hidden_out(output)
        if returned.shape != given.shape:
            raise ModelError(
                f"block {index} ({self.blocks[index].name}) turns {tuple(given.shape)} into {tuple(returned.shape)}; only "
                "blocks that keep the shape can be skipped: choose others"
            )
        return (None,) * (len(output) - 1) if isinstance(output, tuple) else None


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


@contextmanager
def _replaced(forwards: dict[nn.Module, Callable[..., Any]]) -> Iterator[None]:
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


def _repeated_blocks(model: nn.Module, least: int) -> Iterator[tuple[str, nn.Module, nn.ModuleList | nn.Sequential]]:
    """Outermost lists of `least` or more modules of one class that have parts and parameters of their own."""
    inside: tuple[str, ...] = ()
    for path, module in model.named_modules():
        if not isinstance(module, nn.ModuleList | nn.Sequential) or (inside and path.startswith(inside)):
            continue
        children = [child for _, child in module.named_children()]  # one that stands there twice is one
        composed = all(
            any(True for _ in child.children()) and any(True for _ in child.parameters()) for child in children
        )
        if len(children) >= least and composed and len({type(child) for child in children}) == 1:
            inside = (*inside, f"{path}." if path else "")
            for name, child in module.named_children():
                yield f"{path}.{name}" if path else name, child, module


def _hidden_name(module: nn.Module) -> str:
    return list(inspect.signature(type(module).forward).parameters)[1]  # after self


def _hidden_in(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    return args[0] if args else kwargs[_hidden_name(module)]


def _hidden_out(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output
