"""Layer conductance: how much of the answer flows through each block."""

from collections.abc import Iterator, Sequence
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
from analyzers.room import GRADIENT_TOKENS
from analyzers.samples import spread
from analyzers.tasks import Batch
from analyzers.work import Work, tokens

STEPS = 50  # captum's own default


@importance_method(
    "conductance",
    title="Layer conductance",
    unit="nats",
    cost=f"{STEPS} gradient sweeps over few examples, all layers from one path",
    source="https://arxiv.org/abs/1805.12233",
    main=True,
    work=lambda engine: _work(engine),
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
        # What the path adds up is of layers × tokens × width, so few tokens walk it at once.
        for rows in engine.layered.room.parts(len(batch), batch.tokens, "gradient"):
            part = batch.rows(rows.start, rows.stop).to(engine.layered.device)
            by_layer, change = path_conductance(engine, part)
            values.append(torch.stack([units.abs().flatten(1).sum(1) for units in by_layer], dim=1))
            errors += [(units.flatten(1).sum(1) - change).abs() for units in by_layer]
    engine.diagnostics["conductance_examples"] = float(sum(len(batch) for batch in batches))
    engine.diagnostics["conductance_completeness_error"] = float(torch.cat(errors).mean())
    return engine.scores("conductance", torch.cat(values).double().cpu().numpy())


def _work(engine: Engine) -> Work:
    passed = tokens(spread(engine.batches, engine.rows.path)) * (STEPS + 1)
    states = len(engine.layered) * GRADIENT_TOKENS * engine.width  # of all blocks
    return Work(gradients=passed, bytes=4.0 * 4 * states)  # outputs and gradients of two points


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
    walked = _walk(engine, batch, start, end, path_points(steps))
    first, outputs, gradients = next(walked)
    total = [torch.zeros_like(output) for output in outputs]
    last = first
    for value, outputs_now, gradients_now in walked:
        for units, output, output_now, gradient in zip(total, outputs, outputs_now, gradients, strict=True):
            units += gradient * (output_now - output)
        last, outputs, gradients = value, outputs_now, gradients_now
    return total, last - first


def path_points(steps: int) -> list[float]:
    """steps + 1 points between 0 and 1."""
    points: list[float] = (0.5 * (1 + np.polynomial.legendre.leggauss(steps + 1)[0])).tolist()
    return points


def _walk(
    engine: Engine, batch: Batch, start: Tensor, end: Tensor, points: Sequence[float]
) -> Iterator[tuple[Tensor, Sequence[Tensor], Sequence[Tensor]]]:
    """F, outputs and gradients at each point of the path; short batches pass several points at once."""
    room, rows, tokens = engine.layered.room, start.shape[0], start.shape[1]
    at_once = max(1, GRADIENT_TOKENS // (rows * tokens))
    for begin in range(0, len(points), at_once):
        now = points[begin : begin + at_once]
        repeated = batch.pick(list(range(len(batch))) * len(now))
        embeddings = torch.cat([start + point * (end - start) for point in now])

        def part(chosen: slice, repeated: Batch = repeated, embeddings: Tensor = embeddings) -> list[Tensor]:
            return _at(engine, repeated.rows(chosen.start, chosen.stop), embeddings[chosen])

        found = room.passed(len(repeated), tokens, part, engine.progress, "gradient")
        joined = [torch.cat(parts).split(rows) for parts in zip(*found, strict=True)]
        for value, *layers in zip(*joined, strict=True):
            yield value, layers[: len(layers) // 2], layers[len(layers) // 2 :]


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


def _at(engine: Engine, batch: Batch, embeddings: Tensor) -> list[Tensor]:
    """F of each example, the outputs of the blocks, then the gradients of F with respect to them, at points of the path."""
    outputs: dict[int, Tensor] = {}

    def keep(layer: int, given: Tensor, output: Tensor) -> None:  # noqa: ARG001
        outputs[layer] = output

    model = engine.layered.model
    with frozen(model), torch.enable_grad(), engine.layered.capturing(keep), _embedding_as(engine, embeddings):
        value = -engine.task.scores(model, batch).loss
        kept = [outputs[layer] for layer in sorted(outputs)]
        gradients = torch.autograd.grad(value.sum(), kept)
    return [value.detach(), *(output.detach() for output in kept), *gradients]
