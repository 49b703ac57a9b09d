"""How focused the attention of a block is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from analyzers.errors import ModelError
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.layers import frozen
from analyzers.records import LayerScore
from analyzers.tasks import Batch
from analyzers.work import Work, tokens


@importance_method(
    "attention_entropy",
    title="Attention focus",
    unit="1 - relative entropy",
    cost="1 forward sweep with eager attention",
    source="https://arxiv.org/abs/1906.04341",
    work=lambda engine: Work(forwards=tokens(engine.batches)),
)
def attention_entropy(engine: Engine) -> list[LayerScore]:
    """One minus the entropy of the attention over what a token can see, relative to looking everywhere alike.

    1 − H(row) / log n with n the tokens that the row may look at, mean over heads and tokens, then over examples; rows that
    see a single token do not count. 0 for attention that is spread evenly, 1 for attention to a single token: focused
    heads are those that pruning keeps (https://arxiv.org/abs/1905.09418). Attention to a first token or to a separator
    counts as focused too.

    Raises:
        ModelError: the model's blocks show no attention.
        NotFinite: an attention is NaN, or no token of an example sees another.
    """
    model: Any = engine.layered.model
    if not hasattr(model, "set_attn_implementation"):
        raise ModelError(_no_attention(engine))
    batches = engine.progress.track(engine.batches, len(engine.batches), "attention")
    with _eager(model), frozen(model), torch.no_grad():
        # Most models show attentions inside their blocks; some have to be told to, and then keep those of all layers.
        first = engine.batches[0].rows(0, 1).to(engine.layered.device)
        asked = len(_seen(engine, first)) < len(engine.layered)
        with _asking(model) if asked else nullcontext():
            focus = [_focus(engine, batch.to(engine.layered.device)) for batch in batches]
    return engine.scores("attention_entropy", torch.cat(focus).double().cpu().numpy())


def _focus(engine: Engine, batch: Batch) -> Tensor:
    """(batch, layers)."""
    seen = _seen(engine, batch)
    if len(seen) < len(engine.layered):
        raise ModelError(_no_attention(engine))
    return torch.stack([seen[layer] for layer in sorted(seen)], dim=1)


def _seen(engine: Engine, batch: Batch) -> dict[int, Tensor]:
    """By layer, of the first attention of the block, which is its self-attention: focus of each example, (batch,)."""
    present = batch.inputs["attention_mask"].bool()  # (batch, tokens)
    shape = (*present.shape, present.shape[1])
    seen: dict[int, Tensor] = {}

    def watch(layer: int) -> Callable[..., None]:
        def hook(module: Any, args: Any, output: Any) -> None:  # noqa: ARG001 - as torch calls it
            for each in output if isinstance(output, tuple) and layer not in seen else ():
                if isinstance(each, Tensor) and each.ndim == 4 and (len(each), *each.shape[2:]) == shape:
                    seen[layer] = focus(each.float(), present)

        return hook

    parts = [(block.index, part) for block in engine.layered.blocks for part in block.module.modules()]
    handles = [part.register_forward_hook(watch(layer)) for layer, part in parts]
    try:
        engine.task.run(engine.layered.model, batch)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def focus(attention: Tensor, present: Tensor) -> Tensor:
    """1 − H / log n, mean over heads and over the tokens that are present and see more than one, (batch,).

    Args:
        attention: (batch, heads, tokens, tokens); a row sums to 1.
        present: False where a token is padding, (batch, tokens).
    """
    entropy = -torch.xlogy(attention, attention).sum(-1).mean(1)  # (batch, tokens)
    visible = (attention.amax(1) > 0).sum(-1)  # what is masked has no attention in any head
    counted = present & ((visible > 1) | attention.isnan().any(-1).any(1))
    rows = torch.where(counted, 1 - entropy / visible.clamp(min=2).log(), 0.0)
    return rows.sum(1) / counted.sum(1)


@contextmanager
def _eager(model: Any) -> Iterator[None]:
    """Other implementations of attention never hold its weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _asking(model: Any) -> Iterator[None]:
    before = model.config.output_attentions
    model.config.output_attentions = True
    try:
        yield
    finally:
        model.config.output_attentions = before


def _no_attention(engine: Engine) -> str:
    return (
        f"the blocks of {type(engine.layered.model).__name__} show no attention of their tokens to one another; "
        "attention_entropy needs it: leave the method out with --methods"
    )
