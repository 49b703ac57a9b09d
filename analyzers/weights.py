"""How many parameters a model has and what they take, also where they are stored at a lower precision."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn


def parameter_count(module: nn.Module) -> int:
    """Parameters, each as one number however it is stored: two numbers of four bits share a byte."""
    return sum(_numbers(parameter) for parameter in module.parameters())


def weight_bytes(model: Any) -> int:
    """Size of all parameters and buffers, those that are shared counted once."""
    return state_bytes(model.state_dict())


def state_bytes(state: Mapping[str, Any]) -> int:
    """Size of the tensors of a state, with the scales of those that are quantized; tensors that are shared count once."""
    plain = [part for tensor in state.values() if isinstance(tensor, Tensor) for part in _parts(tensor)]
    return sum(tensor.nbytes for tensor in {tensor.data_ptr(): tensor for tensor in plain if tensor.nbytes}.values())


def _numbers(parameter: Any) -> int:
    packed = getattr(parameter, "quant_state", None)  # of bitsandbytes
    return int(parameter.numel() if packed is None else packed.shape.numel())


def _parts(tensor: Any) -> Iterator[Tensor]:
    """The tensors that a quantized one (of torchao) is made of."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _parts(getattr(tensor, name))
