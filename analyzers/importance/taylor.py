"""First-order Taylor expansion of the loss when a block's parameters go to zero."""

import numpy as np

from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore


@importance_method(
    "taylor",
    title="Taylor importance",
    unit="nats",
    cost="the same gradient sweep as fisher",
    source="https://arxiv.org/abs/1906.10771",
    gradients=True,
)
def taylor(engine: Engine) -> list[LayerScore]:
    """Change of the loss, to first order, when all parameters of the block go to zero.

    |Σ θ·∇θ loss| over the parameters of the block as one group, mean over examples: the sum comes before the absolute
    value (the paper's joint importance of a set, without its square).

    Raises:
        NotFinite: a gradient is NaN or infinite.
    """
    return engine.scores("taylor", np.abs(engine.gradients.inner))
