"""Per-example gradient statistics of each block, from one backward pass a batch.

The gradient of one example with respect to a linear weight is the sum over tokens of an outer product, g aᵀ with
activations a and output gradients g. Its squared norm is Σₜₜ' (aₜ·aₜ')(gₜ·gₜ'), so it needs no per-example gradient in
memory (Goodfellow 2015, https://arxiv.org/abs/1510.01799; for sequences Li et al. 2021, https://arxiv.org/abs/2110.05679).
Other parts (norms, …) are differentiated example by example with vmap. Where neither holds (a part used twice, a part
that does not keep the batch axis) every example gets a backward pass of its own: slower and always right. Which way is
right is not assumed: the first examples are computed both ways.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from transformers.pytorch_utils import Conv1D

from analyzers.executor import Executor
from analyzers.journal import Journal
from analyzers.layers import LayeredModel, frozen
from analyzers.progress import Progress
from analyzers.tasks import Batch, Task

CHECKED = 2  # examples that are computed both ways
TOLERANCE = 1e-3


@dataclass(frozen=True)
class GradientStatistics:
    """Of the gradient of each example's loss with respect to each block's parameters; both (examples, layers)."""

    squared_norm: np.ndarray  # ‖∇θ loss‖², nats²
    inner: np.ndarray  # Σ θ·∇θ loss, nats: the first-order change of the loss when the parameters go to zero


class _NotSeparable(Exception):
    """The fast way does not apply to a part of the model."""


def per_example_gradients(
    layered: LayeredModel,
    task: Task,
    batches: Sequence[Batch],
    progress: Progress,
    journal: Journal | None = None,
    executor: Executor | None = None,
) -> GradientStatistics:
    """Gradient statistics of every example and block, in one sweep over the data; what each batch gave is kept."""
    journal, executor = journal or Journal(), executor or Executor()
    count = sum(len(batch) for batch in batches)
    found = np.zeros((2, count, len(layered)))
    pieces = [journal.find(f"gradients-{number:06d}") for number in range(len(batches))]
    left = [batch for batch, piece in zip(batches, pieces, strict=True) if piece is None]
    measure = quickest_way(layered, task, batches[0], progress)
    fresh = executor.map(_of_batch, (layered, task), [(measure, batch) for batch in left], progress)
    for number, batch in enumerate(progress.track(batches, len(batches), "gradients of each example")):
        piece = pieces[number]
        if piece is None:
            piece = {"found": next(fresh)}
            journal.keep(f"gradients-{number:06d}", **piece)
        found[:, batch.indices.numpy()] = piece["found"]
    return GradientStatistics(squared_norm=found[0], inner=found[1])


def _of_batch(
    layered: LayeredModel, task: Task, share: tuple[Callable[..., Tensor], Batch], progress: Progress
) -> np.ndarray:
    measure, batch = share
    return _in_parts(measure, layered, task, batch, progress).double().cpu().numpy()


def quickest_way(layered: LayeredModel, task: Task, batch: Batch, progress: Progress) -> Callable[..., Tensor]:
    """`together` where it gives what `one_by_one` gives for the first examples of the batch, else `one_by_one`."""
    batch = batch.rows(0, CHECKED)
    slow = _in_parts(one_by_one, layered, task, batch, progress)
    try:
        fast = _in_parts(together, layered, task, batch, progress)
    except _NotSeparable as reason:
        progress.say(f"gradients one example at a time: {reason}")
        return one_by_one
    scale = slow.abs().amax(dim=(1, 2), keepdim=True)
    if ((fast - slow).abs() > TOLERANCE * slow.abs() + 1e-6 * scale).any():
        progress.say("gradients one example at a time: the model shares parameters between parts")
        return one_by_one
    return together


def _in_parts(
    measure: Callable[..., Tensor], layered: LayeredModel, task: Task, batch: Batch, progress: Progress
) -> Tensor:
    on_device = batch.to(layered.device)

    def part(rows: slice) -> Tensor:
        return measure(layered, task, on_device.rows(rows.start, rows.stop))

    return torch.cat(layered.room.passed(len(batch), batch.tokens, part, progress, "gradient"), dim=1)


def together(layered: LayeredModel, task: Task, batch: Batch) -> Tensor:
    """One backward pass for the batch. (2, batch, layers): squared norms and inner products."""
    total = torch.zeros(2, len(batch), len(layered), device=layered.device)
    handles = []
    used: set[nn.Module] = set()

    def watch(layer: int) -> Callable[..., None]:
        def forward_hook(
            module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor], output: Tensor
        ) -> None:
            given = args[0] if args and not kwargs else None
            if module in used or not isinstance(output, Tensor) or given is None or len(args) != 1:
                raise _NotSeparable(f"{type(module).__name__} is called in a way of its own")
            if module is layered.blocks[layer].module:  # to differentiate it apart would call the hook on its input
                raise _NotSeparable(f"{type(module).__name__} has parameters beside those of its parts")
            if not output.requires_grad:
                raise _NotSeparable(f"{type(module).__name__} does not depend on the input of block 0")
            if output.shape[0] != len(batch) or given.shape[0] != len(batch):
                raise _NotSeparable(f"{type(module).__name__} does not keep the examples apart")
            used.add(module)
            activations, returned, version = given.detach(), output.detach(), output._version

            def backward_hook(gradient: Tensor) -> None:
                untouched = returned if returned._version == version else module(activations)  # else changed in place
                total[:, :, layer] += torch.stack(_contribution(module, activations, untouched, gradient))

            output.register_hook(backward_hook)

        return forward_hook

    for block in layered.blocks:
        for part in block.module.modules():
            if any(True for _ in part.parameters(recurse=False)):
                handles.append(part.register_forward_hook(watch(block.index), with_kwargs=True))
    with layered.differentiating_activations():
        try:
            loss = task.losses(layered.model, batch).sum()
        finally:
            for handle in handles:  # before the backward pass, which calls some parts again
                handle.remove()
        loss.backward()
    return total


def one_by_one(layered: LayeredModel, task: Task, batch: Batch) -> Tensor:
    """A backward pass for each example. (2, batch, layers): the reference for `together`."""
    parameters = [list(block.module.parameters()) for block in layered.blocks]
    rows = []
    with frozen(layered.model), torch.enable_grad():
        for group in parameters:
            for parameter in group:
                parameter.requires_grad_(True)
        for row in range(len(batch)):
            loss = task.losses(layered.model, batch.rows(row, row + 1)).sum()
            flat = [parameter for group in parameters for parameter in group]
            gradients = iter(torch.autograd.grad(loss, flat, allow_unused=True, materialize_grads=True))
            rows.append([_statistics((p, next(gradients)) for p in group) for group in parameters])
    return torch.tensor(rows, device=layered.device).permute(2, 0, 1)


def _statistics(pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    norm = inner = 0.0
    for parameter, gradient in pairs:
        norm += float(gradient.pow(2).sum())
        inner += float((parameter.detach() * gradient).sum())
    return norm, inner


def _contribution(module: nn.Module, activations: Tensor, output: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Squared norm and inner product of each example, (batch,), from one part of a block."""
    if isinstance(module, nn.Linear | Conv1D):
        return _linear(module, activations, output, gradient)
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters(recurse=False)}

    def projected(weights: dict[str, Tensor], a: Tensor, g: Tensor) -> Tensor:
        return (functional_call(module, weights, (a.unsqueeze(0),)) * g.unsqueeze(0)).sum()

    each = vmap(grad(projected), in_dims=(None, 0, 0))(parameters, activations, gradient)  # name -> (batch, ...)
    norms = [value.flatten(1).pow(2).sum(1) for value in each.values()]
    inners = [(value * parameters[name]).flatten(1).sum(1) for name, value in each.items()]
    return torch.stack(norms).sum(0), torch.stack(inners).sum(0)


def _linear(module: nn.Linear | Conv1D, activations: Tensor, output: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    a = activations.reshape(len(activations), -1, activations.shape[-1])  # (batch, tokens, in)
    g = gradient.reshape(len(gradient), -1, gradient.shape[-1])  # (batch, tokens, out)
    tokens, width_in, width_out = a.shape[1], a.shape[2], g.shape[2]
    if tokens * (width_in + width_out) < width_in * width_out:
        norm = ((a @ a.mT) * (g @ g.mT)).sum((1, 2))
    else:
        norm = (g.mT @ a).pow(2).sum((1, 2))
    if module.bias is not None:
        norm = norm + g.sum(1).pow(2).sum(1)
    # The output is linear in weight and bias: what it is times its gradient is what they are times theirs.
    return norm, (output * gradient).flatten(1).sum(1)
