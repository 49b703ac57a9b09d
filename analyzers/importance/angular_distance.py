"""The angle by which a block turns its input."""

import numpy as np

from analyzers.baselines import SimilarityReducer
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore
from analyzers.statistics import weighted_values


@importance_method(
    "angular_distance",
    title="Angular distance",
    unit="half turns",
    cost="the same forward sweep as block_influence",
    source="https://arxiv.org/abs/2403.17887",
    reducers=(SimilarityReducer,),
)
def angular_distance(engine: Engine) -> list[LayerScore]:
    """Mean angle between the input and the output of the block, arccos(cosine) / π.

    The distance d(h⁽ˡ⁾, h⁽ˡ⁺¹⁾) of the paper for one layer: at the last token for a language model, over all tokens for an
    encoder. 0 for a block that only stretches its input, 1 for one that turns it round.

    Raises:
        NotFinite: a hidden state is NaN or infinite.
    """
    seen = engine.reduced(SimilarityReducer)
    angles = np.diagonal(seen["angle"], offset=1, axis1=1, axis2=2)  # (examples, layers)
    tokens = seen["tokens"] if engine.task.labelled else np.ones(len(angles))
    return engine.scores("angular_distance", weighted_values(angles, tokens))
