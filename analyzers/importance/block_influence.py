"""How far a block moves its input."""

from analyzers.baselines import SimilarityReducer
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore
from analyzers.statistics import weighted_values


@importance_method(
    "block_influence",
    title="Block influence",
    unit="1 - cosine",
    cost="1 forward sweep",
    source="https://arxiv.org/abs/2403.03853",
    reducers=(SimilarityReducer,),
)
def block_influence(engine: Engine) -> list[LayerScore]:
    """One minus the mean cosine between the input and the output of the block, over all tokens.

    0 for a block that only stretches its input, 2 for one that turns it round.

    Raises:
        NotFinite: a hidden state is NaN or infinite.
    """
    seen = engine.reduced(SimilarityReducer)
    return engine.scores("block_influence", weighted_values(1 - seen["cosine"], seen["tokens"]))
