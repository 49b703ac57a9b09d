"""What the model loses when a block is skipped."""

import numpy as np

from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore


@importance_method(
    "ablation",
    title="Layer ablation",
    unit="nats",
    cost="1 forward pass of the later blocks for each layer",
    source="https://arxiv.org/abs/1905.10650",
    main=True,
)
def ablation(engine: Engine) -> list[LayerScore]:
    """Rise of the loss when the block alone is skipped, mean over examples.

    Raises:
        NotFinite: the loss without the block is NaN or infinite.
    """
    everything = engine.coalitions.everything
    sets = [everything, *(everything - {layer} for layer in sorted(everything))]
    dense, *ablated = engine.coalitions.measure(sets, engine.progress, "ablation")
    return engine.scores("ablation", np.stack([losses.loss - dense.loss for losses in ablated], axis=1))
