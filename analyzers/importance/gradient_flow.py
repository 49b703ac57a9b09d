"""How much of the gradient takes the way through a block rather than past it."""

import torch
from torch import Tensor

from analyzers.errors import ModelError
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore
from analyzers.tasks import Batch
from analyzers.work import Work, tokens


@importance_method(
    "gradient_flow",
    title="Gradient flow",
    unit="share of the gradient's length",
    cost="1 backward sweep",
    source="https://arxiv.org/abs/1603.05027",
    work=lambda engine: Work(gradients=tokens(engine.batches)),
)
def gradient_flow(engine: Engine) -> list[LayerScore]:
    """How much the block changes the gradient that flows back through it, relative to the gradient that comes in.

    ‖∂loss/∂input − ∂loss/∂output‖₂ / ‖∂loss/∂output‖₂ over the tokens and units of an example, mean over examples. A
    residual block h + f(h) sends back the gradient g itself and Jᵀg, through f (equation 5 of the paper): this is
    ‖Jᵀg‖ / ‖g‖. 0 for an identity, and where no gradient arrives.

    Raises:
        NotFinite: a gradient is NaN or infinite.
        ModelError: the model has an encoder and a decoder.
    """
    if not engine.layered.replayable:
        raise ModelError(
            f"{type(engine.layered.model).__name__} has an encoder and a decoder; gradient_flow needs one stack of layers: "
            "leave the method out with --methods"
        )
    batches = engine.progress.track(engine.batches, len(engine.batches), "gradient flow")
    shares = [_shares(engine, batch.to(engine.layered.device)) for batch in batches]
    return engine.scores("gradient_flow", torch.cat(shares).double().cpu().numpy())


def _shares(engine: Engine, batch: Batch) -> Tensor:
    """(batch, layers). Gradients are compared as they pass, from the last block to the first; two exist at a time."""
    shares = torch.zeros(len(batch), len(engine.layered), device=engine.layered.device)
    behind: dict[int, Tensor] = {}  # by layer: ∂loss/∂output

    def watch(layer: int, given: Tensor, output: Tensor) -> None:
        def arrived(gradient: Tensor) -> None:
            behind[layer] = gradient

        def left(gradient: Tensor) -> None:
            if layer not in behind:  # nothing comes back through the block
                return
            back = behind.pop(layer).float().flatten(1)  # (batch, tokens · width)
            changed = (gradient.float().flatten(1) - back).norm(dim=1)
            size = back.norm(dim=1)
            shares[:, layer] = torch.where(size == 0, 0.0, changed / size)

        output.register_hook(arrived)
        given.register_hook(left)

    with engine.layered.differentiating_activations():
        with engine.layered.capturing(watch):
            loss = engine.task.losses(engine.layered.model, batch).sum()
        loss.backward()
    return shares
