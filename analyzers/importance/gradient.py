"""Size of a block's gradient."""

import numpy as np

from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore


@importance_method(
    "gradient",
    title="Gradient norm",
    unit="nats per unit of parameter",
    cost="the same gradient sweep as fisher",
    source="https://arxiv.org/abs/1906.10771",
    main=True,
    gradients=True,
)
def gradient(engine: Engine) -> list[LayerScore]:
    """Root mean square gradient of the loss over a block's parameters, mean over examples.

    ‖∇θ loss‖₂ / √(number of parameters), so that blocks of different size compare.

    Raises:
        NotFinite: a gradient is NaN or infinite.
    """
    parameters = np.array([block.parameters for block in engine.layered.blocks])
    return engine.scores("gradient", np.sqrt(engine.gradients.squared_norm / parameters))
