"""What the model loses when a block is skipped."""

import numpy as np

from analyzers.coalitions import Kept
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore
from analyzers.work import of_sets, tokens


@importance_method(
    "ablation",
    title="Layer ablation",
    unit="nats",
    cost="1 forward pass of the later blocks for each layer",
    source="https://arxiv.org/abs/1905.10650",
    main=True,
    sets=True,
    work=lambda engine: of_sets(_sets(engine), len(engine.layered), tokens(engine.batches)),
)
def ablation(engine: Engine) -> list[LayerScore]:
    """Rise of the loss when the block alone is skipped, mean over examples.

    Raises:
        NotFinite: the loss without the block is NaN or infinite.
    """
    dense, *ablated = engine.coalitions.measure(_sets(engine), engine.progress, "ablation")
    return engine.scores("ablation", np.stack([losses.loss - dense.loss for losses in ablated], axis=1))


def _sets(engine: Engine) -> list[Kept]:
    """All layers, then all but each."""
    everything = engine.coalitions.everything
    return [everything, *(everything - {layer} for layer in sorted(everything))]
