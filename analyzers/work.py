"""What a method asks of the model, in tokens, so that its time can be told before it starts."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from itertools import pairwise

from analyzers.coalitions import Kept, common_prefix
from analyzers.tasks import Batch


@dataclass(frozen=True)
class Work:
    """Beside the passes that methods share: one forward sweep for all reducers, one sweep of per-example gradients."""

    forwards: float = 0.0  # tokens through the whole stack
    heads: float = 0.0  # tokens through the embeddings and the head
    gradients: float = 0.0  # tokens through the model and back
    seconds: float = 0.0  # without the model
    bytes: float = 0.0  # held beside what a pass holds

    def __add__(self, other: "Work") -> "Work":
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def tokens(batches: Iterable[Batch]) -> int:
    """All tokens of these batches, padding counted."""
    return sum(len(batch) * batch.tokens for batch in batches)


def of_sets(sets: Iterable[Kept], layers: int, passed: float) -> Work:
    """Of measuring sets of kept layers, each from where it parts from the one before.

    Args:
        sets: in any order; those that occur twice count once.
        layers: in the model.
        passed: tokens that each set is measured on.
    """
    masks = sorted(tuple(layer in kept for layer in range(layers)) for kept in set(sets))
    starts = [0, *(common_prefix(a, b) for a, b in pairwise(masks))]
    blocks = sum(sum(mask[start:]) for mask, start in zip(masks, starts, strict=False))
    return Work(forwards=blocks / layers * passed, heads=len(masks) * passed)
