"""The six methods as a paper's repository would write them: no pass is shared, nothing is remembered, no block is left out.

They are the other side of `make bench`: slow, plain, and giving the same numbers. Each is given what it may well be
given: no gradients where none are needed, batches of the same size, and captum the same rows at once.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from analyzers.importance.conductance import STEPS, baseline_embeddings
from analyzers.importance.engine import Engine
from analyzers.importance.mutual_information import POSITIONS, TOKENS, held_out_losses
from analyzers.importance.shapley import EVALUATIONS
from analyzers.layers import LayeredModel
from analyzers.room import GRADIENT_TOKENS
from analyzers.samples import spread
from analyzers.tasks import Batch


def losses(model: Any, batch: Batch) -> Tensor:
    """Loss of each example from the logits of one full forward pass, (batch,)."""
    if batch.labels.ndim == 1:
        return F.cross_entropy(model(**batch.inputs).logits, batch.labels, reduction="none")
    logits = model(**batch.inputs, use_cache=False).logits[:, :-1]  # (batch, tokens - 1, vocabulary)
    # Flat, as transformers does it: over the middle axis torch sums with forty times the rounding error.
    each = F.cross_entropy(logits.flatten(0, 1), batch.labels[:, 1:].flatten(), reduction="none")
    return each.view(len(logits), -1).mean(1)


class Skipped(nn.Module):
    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return hidden


@contextmanager
def without(layered: LayeredModel, layers: Sequence[int]) -> Iterator[None]:
    for layer in layers:
        block = layered.blocks[layer]
        block.container[layer] = Skipped()
    try:
        yield
    finally:
        for layer in layers:
            layered.blocks[layer].container[layer] = layered.blocks[layer].module


@torch.no_grad()
def losses_without(layered: LayeredModel, batches: Sequence[Batch], layers: Sequence[int]) -> np.ndarray:
    """Of each example, (examples,), by a full forward pass."""
    found = np.zeros(sum(len(batch) for batch in batches))
    with without(layered, layers):
        for batch in batches:
            found[batch.indices.numpy()] = losses(layered.model, batch).double().numpy()
    return found


def ablation(engine: Engine) -> np.ndarray:
    dense, *ablated = ablation_losses(engine)
    return np.array(ablated) - dense


def ablation_losses(engine: Engine) -> np.ndarray:
    """With all layers, then without each; (layers + 1,)."""
    sets = [[], *([layer] for layer in range(len(engine.layered)))]
    return np.array([losses_without(engine.layered, engine.batches, layers).mean() for layers in sets])


def squared_gradients(engine: Engine) -> np.ndarray:
    """A backward pass for each example, (examples, layers)."""
    model = engine.layered.model
    groups = [list(block.module.parameters()) for block in engine.layered.blocks]
    flat = [parameter for group in groups for parameter in group]
    found = np.zeros((engine.examples, len(groups)))
    for batch in engine.batches:
        for row in range(len(batch)):
            single = batch.rows(row, row + 1)
            gradients = iter(torch.autograd.grad(losses(model, single).sum(), flat))
            norms = [sum(float(next(gradients).pow(2).sum()) for _ in group) for group in groups]
            found[int(batch.indices[row])] = norms
    return found


def fisher(engine: Engine) -> np.ndarray:
    return squared_gradients(engine).mean(0)


def gradient(engine: Engine) -> np.ndarray:
    parameters = np.array([block.parameters for block in engine.layered.blocks])
    return np.sqrt(squared_gradients(engine) / parameters).mean(0)


def layer_conductance(engine: Engine, batch: Batch, steps: int, layers: Sequence[int]) -> list[Tensor]:
    """captum's LayerConductance, layer by layer: one (batch, tokens, width) tensor each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum.attr import LayerConductance

    model: Any = engine.layered.model
    others = {name: tensor for name, tensor in batch.inputs.items() if name != "input_ids"}

    def likelihood(embeddings: Tensor, *tensors: Tensor) -> Tensor:
        *inputs, labels = tensors  # repeated by captum along the first axis for the steps
        given = {"inputs_embeds": embeddings, **dict(zip(others, inputs, strict=True))}
        return -losses(model, Batch(given, labels, batch.indices))

    embeddings = model.get_input_embeddings()(batch.inputs["input_ids"]).detach()
    found = []
    for layer in layers:
        attributed = LayerConductance(likelihood, engine.layered.blocks[layer].module).attribute(
            embeddings,
            baselines=baseline_embeddings(engine, batch),
            additional_forward_args=(*others.values(), batch.labels),
            n_steps=steps,
            internal_batch_size=max(1, GRADIENT_TOKENS // embeddings.shape[1]),
        )
        found.append(attributed.detach())
    return found


def conductance(engine: Engine) -> np.ndarray:
    values = []
    for batch in spread(engine.batches, engine.rows.path):
        by_layer = layer_conductance(engine, batch, STEPS, range(len(engine.layered)))
        values.append(torch.stack([units.abs().flatten(1).sum(1) for units in by_layer], dim=1))
    return torch.cat(values).mean(0).double().numpy()


def shap(engine: Engine) -> np.ndarray:
    """shap's permutation explainer, every mask by a full forward pass."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap as library

    layers = len(engine.layered)
    batches = spread(engine.batches, engine.rows.game)

    def value(masks: np.ndarray) -> np.ndarray:
        return -np.stack(
            [losses_without(engine.layered, batches, np.flatnonzero(mask == 0).tolist()) for mask in masks]
        )

    explainer = library.explainers.Permutation(
        value, library.maskers.Independent(np.zeros((1, layers))), seed=engine.seed
    )
    permutations = max(1, EVALUATIONS // (2 * layers + 1))
    explained = explainer(np.ones((1, layers)), max_evals=permutations * (2 * layers + 1), silent=True)
    return explained.values[0].reshape(layers, -1).mean(1)


@torch.no_grad()
def mutual_information(engine: Engine) -> np.ndarray:
    """A forward sweep and a probe for each layer; for language models."""
    depths = []
    for depth in range(len(engine.layered) + 1):
        generator = torch.Generator().manual_seed(engine.seed)
        rows, labels, examples = [], [], []
        for batch in engine.batches:
            hidden = _hidden(engine, batch, depth)
            tokens = batch.labels.shape[1]
            positions = torch.rand(len(batch), tokens - 1, generator=generator).argsort(1)[:, :POSITIONS]
            rows.append(torch.cat([row[chosen] for row, chosen in zip(hidden, positions, strict=True)]))
            labels.append(batch.labels.gather(1, positions + 1).flatten())
            examples.append(batch.indices.repeat_interleave(positions.shape[1]))
        features, told, example = torch.cat(rows).numpy(), torch.cat(labels).numpy(), torch.cat(examples).numpy()
        values, counts = np.unique(told, return_counts=True)
        frequent = values[np.argsort(-counts, kind="stable")[:TOKENS]]
        told = np.where(np.isin(told, frequent), told, -1)
        classes, counts = np.unique(told, return_counts=True)
        kept = np.isin(told, classes[counts >= 5])
        found = held_out_losses(features[kept], told[kept], engine.seed)
        each = [found[example[kept] == number].mean() for number in np.unique(example[kept])]
        depths.append(np.mean(each))
    return -np.diff(np.array(depths))


def _hidden(engine: Engine, batch: Batch, depth: int) -> Tensor:
    """Hidden states before layer `depth`, or after the last; the whole model runs, as it would with a hook."""
    seen: list[Tensor] = []
    blocks = engine.layered.blocks
    if depth == 0:
        handle = blocks[0].module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    else:
        handle = blocks[depth - 1].module.register_forward_hook(lambda *given: seen.append(given[-1]))
    try:
        losses(engine.layered.model, batch)
    finally:
        handle.remove()
    return seen[0]
