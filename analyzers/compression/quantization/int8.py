"""Integers of eight bits, one scale for each output of a linear layer, by torchao.

LLM.int8() of bitsandbytes is not taken: it rounds the activations too, so that the text with the cache was another than
the one without it.
"""

from typing import Any

from torch import nn

LIBRARY = "torchao"
LAYERS = "torch's linear layers"


def config(model: Any) -> Any:  # noqa: ARG001 - the same for each
    from transformers import TorchAoConfig

    return TorchAoConfig(_scheme())


def tried(layer: nn.Linear) -> nn.Module:
    from torchao.quantization import quantize_

    quantize_(layer, _scheme())
    return layer


def holds(module: nn.Module) -> bool:
    from torchao.utils import TorchAOBaseTensor

    return isinstance(module, nn.Linear) and isinstance(module.weight, TorchAOBaseTensor)


def _scheme() -> Any:
    from torchao.quantization import Int8WeightOnlyConfig

    return Int8WeightOnlyConfig(version=2)  # what is saved by version 1 is to be given up by torchao
