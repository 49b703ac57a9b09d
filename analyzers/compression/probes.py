"""Inputs that a written model is compared on with the one in memory, without any data."""

import inspect
from typing import Any

import torch

from analyzers.tasks import Batch

SHAPES = ((2, 24, 0), (3, 7, 2), (1, 33, 0))  # rows, tokens, and how many of the first row are padding


def probes(model: Any, tokenizer: Any, seed: int) -> list[Batch]:
    """Random tokens in batches of several shapes, one of them padded: what is fixed to one shape shows.

    Args:
        model: its vocabulary and positions are the limits.
        tokenizer: says which inputs the model takes.
        seed: of the tokens.
    """
    config = model.config.get_text_config()
    most = getattr(config, "max_position_embeddings", None) or 64
    generator = torch.Generator().manual_seed(seed)
    pad, end = (
        getattr(config, name, None) for name in ("pad_token_id", "eos_token_id")
    )  # some configurations have none
    special = {token for token in (pad, end) if isinstance(token, int)}
    ordinary = torch.tensor([token for token in range(config.vocab_size) if token not in special])
    names = input_names(model, tokenizer)
    found = []
    for rows, tokens, padding in SHAPES:
        # RoBERTa and its kin begin to count positions after the padding id.
        tokens = min(tokens, most - 2)
        ids = ordinary[torch.randint(len(ordinary), (rows, tokens), generator=generator)]
        mask = torch.ones_like(ids)
        if padding and pad is not None:
            ids[0, tokens - padding :] = pad
            mask[0, tokens - padding :] = 0
        inputs = {"input_ids": ids, "attention_mask": mask}
        inputs |= {name: torch.zeros_like(ids) for name in names if name not in inputs}
        found.append(Batch(inputs, torch.zeros(rows, dtype=torch.long), torch.arange(rows)))
    return found


def input_names(model: Any, tokenizer: Any) -> list[str]:
    """What the tokenizer gives that the model takes: input_ids, attention_mask, perhaps token_type_ids."""
    taken = inspect.signature(model.forward).parameters
    return [name for name in ("input_ids", "attention_mask") if name in taken] + [
        name for name in tokenizer.model_input_names if name == "token_type_ids" and name in taken
    ]
