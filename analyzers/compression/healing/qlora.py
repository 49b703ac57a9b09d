"""As lora, over a base of 4 bits; what is saved is that base in full precision with the additions merged into it."""

from __future__ import annotations

from analyzers.compression.healing import Case, Course

SOURCE = "https://arxiv.org/abs/2305.14314"
LEARNING_RATE = 2e-3


def heal(case: Case) -> Course:
    from analyzers.compression.adapters import adapted, check_four_bits, four_bits
    from analyzers.compression.distillation import begun, learn

    check_four_bits(case.pruned)
    spent = begun(case)
    with four_bits(case.pruned), adapted(case.pruned):
        return learn(case, spent)
