"""Layer conductance: how much of the answer flows through each block."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from analyzers.errors import ModelError
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.layers import frozen
from analyzers.records import LayerScore
from analyzers.samples import spread
from analyzers.tasks import Batch

STEPS = 50  # captum's own default


@importance_method(
    "conductance",
    title="Layer conductance",
    unit="nats",
    cost=f"{STEPS} gradient sweeps over few examples, all layers from one path",
    source="https://arxiv.org/abs/1805.12233",
)
def conductance(engine: Engine) -> list[LayerScore]:
    """Sum over a block's output units of the absolute conductance of the log-likelihood.

    Σ over the straight path from a baseline text to the text of ∂F/∂h · Δh, F = log p(y|x). The baseline has the padding
    token in the place of every token that is not special. Reads 32 texts or 4 windows of the calibration examples.

    Raises:
        NotFinite: a gradient on the path is NaN or infinite.
        ModelError: the model embeds its text twice, as an encoder with a decoder does.
    """
    if not engine.layered.replayable:
        raise ModelError(
            f"{type(engine.layered.model).__name__} has an encoder and a decoder; conductance needs one stack of layers: "
            "leave the method out with --methods"
        )
    batches = spread(engine.batches, engine.rows.path)
    values, errors = [], []
    for batch in engine.progress.track(batches, len(batches), "conductance"):
        by_layer, change = path_conductance(engine, batch.to(engine.layered.device))
        values.append(torch.stack([units.abs().flatten(1).sum(1) for units in by_layer], dim=1))
        errors += [float((units.flatten(1).sum(1) - change).abs().mean()) for units in by_layer]
    engine.diagnostics["conductance_examples"] = float(sum(len(batch) for batch in batches))
    engine.diagnostics["conductance_completeness_error"] = float(np.mean(errors))
    return engine.scores("conductance", torch.cat(values).double().cpu().numpy())


def path_conductance(engine: Engine, batch: Batch, steps: int = STEPS) -> tuple[list[Tensor], Tensor]:
    """Conductance of every unit of every block, all from one path.

    Gauss-Legendre points and gradients at the left end of each piece, as captum's LayerConductance does, so that the
    numbers are the same.

    Returns:
        one (batch, tokens, width) tensor for each block, and F at the end of the path less F at its start, (batch,):
        what the units of any block add up to when the steps are many (completeness).
    """
    end = _embeddings(engine)(batch.inputs["input_ids"]).detach()  # (batch, tokens, width)
    start = baseline_embeddings(engine, batch)
    total: list[Tensor] = []
    before: tuple[Tensor, list[Tensor], list[Tensor]] | None = None
    first: Tensor | None = None
    last = torch.empty(0)
    for point in path_points(steps):
        last, outputs, gradients = _at(engine, batch, start + point * (end - start))
        first = last if first is None else first
        if before is None:
            total = [torch.zeros_like(output) for output in outputs]
        else:
            for units, output, old_output, old_gradient in zip(total, outputs, before[1], before[2], strict=True):
                units += old_gradient * (output - old_output)
        before = (last, outputs, gradients)
    return total, last - first  # type: ignore[operator]


def path_points(steps: int) -> Iterator[float]:
    """steps + 1 points between 0 and 1."""
    yield from (0.5 * (1 + np.polynomial.legendre.leggauss(steps + 1)[0])).tolist()


def baseline_embeddings(engine: Engine, batch: Batch) -> Tensor:
    """Embeddings of the same text with padding in the place of its tokens, (batch, tokens, width)."""
    ids = batch.inputs["input_ids"]
    special = torch.isin(ids, torch.tensor(engine.tokenizer.all_special_ids, device=ids.device))
    blank = torch.where(special, ids, torch.full_like(ids, engine.tokenizer.pad_token_id))
    return _embeddings(engine)(blank).detach()


def _embeddings(engine: Engine) -> torch.nn.Module:
    model: Any = engine.layered.model
    return model.get_input_embeddings()


@contextmanager
def _embedding_as(engine: Engine, embeddings: Tensor) -> Iterator[None]:
    """The token ids go in as ever and become these embeddings.

    Not `inputs_embeds`: without the ids some classifiers do not know which token is the last that is not padding.
    """
    given = embeddings.requires_grad_()
    handle = _embeddings(engine).register_forward_hook(lambda *_: given)
    try:
        yield
    finally:
        handle.remove()


def _at(engine: Engine, batch: Batch, embeddings: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """F of each example, the output of each block and the gradient of F with respect to it, at one point of the path."""
    outputs: dict[int, Tensor] = {}

    def keep(layer: int, given: Tensor, output: Tensor) -> None:  # noqa: ARG001
        outputs[layer] = output

    model = engine.layered.model
    with frozen(model), torch.enable_grad(), engine.layered.capturing(keep), _embedding_as(engine, embeddings):
        value = -engine.task.scores(model, batch).loss
        kept = [outputs[layer] for layer in sorted(outputs)]
        gradients = torch.autograd.grad(value.sum(), kept)
    return value.detach(), [output.detach() for output in kept], list(gradients)
