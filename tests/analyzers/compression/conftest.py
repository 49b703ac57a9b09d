"""Tiny models of fixed random weights, and batches for them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from analyzers.tasks import Batch


def encoder(layers: int = 4, seed: int = 0, **changes: Any) -> Any:
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 32}
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=40, num_hidden_layers=layers, initializer_range=0.3, **(sizes | changes))
    return BertForSequenceClassification(config).eval()


def decoder(layers: int = 4, seed: int = 0, kind: str = "Llama", **changes: Any) -> Any:
    import transformers

    sizes = {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(num_hidden_layers=layers, **(sizes | changes))
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


def token_batch(rows: int = 4, tokens: int = 20, seed: int = 0) -> Batch:
    ids = torch.randint(3, 40, (rows, tokens), generator=torch.Generator().manual_seed(seed))
    return Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, torch.arange(rows) % 2, torch.arange(rows))


class Tokenizer:
    """Only what saving needs."""

    def save_pretrained(self, folder: Any) -> None:
        (folder / "tokenizer.json").write_text("{}")


@pytest.fixture
def build_encoder() -> Callable[..., Any]:
    return encoder


@pytest.fixture
def build_decoder() -> Callable[..., Any]:
    return decoder


@pytest.fixture
def batch() -> Batch:
    return token_batch()


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer()
