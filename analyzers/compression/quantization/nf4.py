"""NormalFloat of four bits in groups of 64, the scales quantized once more, by bitsandbytes.

Source: https://arxiv.org/abs/2305.14314 (QLoRA), sections 3 and "Double Quantization".
"""

from typing import Any

import torch
from torch import nn

LIBRARY = "bitsandbytes"
# What the library packs together where a processor multiplies bfloat16; it fails there on a rest. The same layers are left
# out elsewhere, since a model is opened on other machines than the one that it was made on.
OUTPUTS, INPUTS = 32, 64
LAYERS = f"torch's linear layers with a multiple of {INPUTS} inputs and of {OUTPUTS} outputs"


def config(model: Any) -> Any:
    from transformers import BitsAndBytesConfig
    from transformers.quantizers.base import get_keys_to_not_convert

    linear = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    left = [name for name, part in linear.items() if part.out_features % OUTPUTS or part.in_features % INPUTS]
    return BitsAndBytesConfig(
        llm_int8_skip_modules=[*get_keys_to_not_convert(model), *left],
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
