"""The most that a block's parameters could change the loss."""

import numpy as np

from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore


@importance_method(
    "parameter_influence",
    title="Parameter influence",
    unit="nats per relative change",
    cost="the same gradient sweep as fisher",
    source="https://arxiv.org/abs/2002.03432",
    gradients=True,
)
def parameter_influence(engine: Engine) -> list[LayerScore]:
    """Steepest first-order change of the loss for a relative change of the block's parameters.

    ‖θ‖₂ · ‖∇θ loss‖₂, mean over examples: the largest |δ·∇θ loss| of all δ as long as θ. Changes are measured relative to
    the block's own size, as the paper does, so that blocks of large and small weights compare. Never less than `taylor`,
    which takes δ = −θ.

    Raises:
        NotFinite: a gradient is NaN or infinite.
    """
    sizes = [sum(float(p.detach().double().pow(2).sum()) for p in b.module.parameters()) for b in engine.layered.blocks]
    return engine.scores("parameter_influence", np.sqrt(engine.gradients.squared_norm * np.array(sizes)))
