"""NormalFloat of four bits in groups of 64, the scales quantized once more, by bitsandbytes.

Source: https://arxiv.org/abs/2305.14314 (QLoRA), sections 3 and "Double Quantization".
"""

from typing import Any

import torch
from torch import nn

LIBRARY = "bitsandbytes"


def config() -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )


def tried(layer: nn.Linear) -> nn.Module:
    from bitsandbytes.nn import Linear4bit

    device = layer.weight.device
    small = Linear4bit(layer.in_features, layer.out_features, bias=False, compute_dtype=torch.float32, quant_type="nf4")
    small.load_state_dict(layer.state_dict())
    return small.to(device)


def holds(module: nn.Module) -> bool:
    from bitsandbytes.nn import Linear4bit

    return isinstance(module, Linear4bit)
