"""Fisher information of a block."""

from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore


@importance_method(
    "fisher",
    title="Fisher information",
    unit="nats²",
    cost="1 gradient sweep",
    source="https://arxiv.org/abs/1612.00796",
    main=True,
    gradients=True,
)
def fisher(engine: Engine) -> list[LayerScore]:
    """Trace of the Fisher information of each block's parameters.

    Mean over examples of ‖∇ log p(y|x)‖² with the labels of the data (the empirical Fisher). The gradients are those of
    single examples: the square of a batch-mean gradient measures something else. For a language model log p is the mean
    over the tokens of a window.

    Raises:
        NotFinite: a gradient is NaN or infinite.
    """
    return engine.scores("fisher", engine.gradients.squared_norm)
