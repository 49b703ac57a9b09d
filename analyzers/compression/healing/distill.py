"""All weights of the blocks learn to give the logits and hidden states of the dense model."""

from __future__ import annotations

from analyzers.compression.healing import Case, Course

SOURCE = "https://arxiv.org/abs/2407.14679"
LEARNING_RATE = 5e-4


def heal(case: Case) -> Course:
    from analyzers.compression.distillation import begun, learn

    return learn(case, begun(case))
