"""Low-rank adapters in the blocks of a model, and 4-bit weights below them; both leave plain modules behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from analyzers.compression.quantization import check_available
from analyzers.errors import ModelError, UnknownPrecision
from analyzers.layers import LayeredModel

RANK = 16
SCALE = 32  # alpha of LoRA; additions are multiplied by SCALE / RANK


def linear_maps(model: Any) -> dict[str, nn.Module]:
    """The linear maps inside the blocks, by their paths; Conv1D is how GPT-2 writes one."""
    from transformers.pytorch_utils import Conv1D

    return {
        f"{block.name}.{name}": part
        for block in LayeredModel(model, least=1).blocks
        for name, part in block.module.named_modules()
        if type(part) in (nn.Linear, Conv1D)
    }


@contextmanager
def adapted(model: Any) -> Iterator[None]:
    """Only low-rank additions require gradients; on leaving they are merged and nothing of peft is left in the model.

    Raises:
        ModelError: peft is not installed, or the blocks have no linear maps.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
        from peft.tuners.tuners_utils import BaseTunerLayer
    except ImportError as error:
        raise ModelError(_missing("peft")) from error
    targets = [*linear_maps(model), *(name for name, part in model.named_modules() if _is_four_bit(part))]
    if not targets:
        raise ModelError(f"the blocks of {type(model).__name__} have no linear maps for adapters; use --heal distill")
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    inject_adapter_in_model(LoraConfig(r=RANK, lora_alpha=SCALE, target_modules=targets), model)
    try:
        yield
    finally:
        for name, part in list(model.named_modules()):
            if isinstance(part, BaseTunerLayer):
                whole: Any = part
                if _is_four_bit(whole.get_base_layer()):
                    plain = _in_full(whole.get_base_layer())
                    with torch.no_grad():
                        plain.weight += whole.get_delta_weight("default").to(plain.weight)
                else:
                    whole.merge()
                    plain = whole.get_base_layer()
                model.set_submodule(name, plain)
        for left in ("peft_config", "active_adapter"):
            vars(model).pop(left, None)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted.get(name, True))


def check_four_bits(model: Any) -> None:
    """Refuse what cannot be held in 4 bits.

    Raises:
        ModelError: bitsandbytes is missing or does not run here, or the blocks have none but Conv1D maps.
    """
    if find_spec("bitsandbytes") is None:
        raise ModelError(_missing("bitsandbytes"))
    if not any(type(part) is nn.Linear for part in linear_maps(model).values()):
        raise ModelError(f"{type(model).__name__} has no nn.Linear in its blocks to hold in 4 bits; use --heal lora")
    device = next(model.parameters()).device
    try:
        check_available("nf4", device)
    except UnknownPrecision as error:
        raise ModelError(_no_four_bits(device)) from error


@contextmanager
def four_bits(model: Any) -> Iterator[None]:
    """The linear maps of the blocks are held as NF4 (QLoRA, arXiv 2305.14314); what is left of them on leaving is opened."""
    import bitsandbytes

    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    for name, part in linear_maps(model).items():
        if type(part) is nn.Linear:
            packed = bitsandbytes.nn.Linear4bit(
                part.in_features,
                part.out_features,
                bias=part.bias is not None,
                compute_dtype=part.weight.dtype,
                quant_type="nf4",
            )
            packed.weight = bitsandbytes.nn.Params4bit(part.weight.detach(), requires_grad=False, quant_type="nf4")
            packed.bias = part.bias
            # Where the processor multiplies bfloat16 it would be repacked at the first evaluation, in a form without gradients.
            packed.support_avx512bf16_for_cpu = False
            model.set_submodule(name, packed.to(part.weight.device))
    model.is_loaded_in_4bit = True
    try:
        yield
    finally:
        del model.is_loaded_in_4bit
        for name, part in list(model.named_modules()):
            if _is_four_bit(part):
                model.set_submodule(name, _in_full(part))
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted.get(name, True))


def _in_full(packed: Any) -> nn.Linear:
    """A plain linear map with the weights that the packed one computes with."""
    import bitsandbytes

    plain = nn.Linear(packed.in_features, packed.out_features, bias=packed.bias is not None)
    weight = bitsandbytes.functional.dequantize_4bit(packed.weight.data, packed.weight.quant_state)
    plain.weight = nn.Parameter(weight.to(packed.compute_dtype))
    plain.bias = packed.bias
    return plain.train(packed.training)


def _is_four_bit(part: nn.Module) -> bool:
    return type(part).__module__.startswith("bitsandbytes.")


def _no_four_bits(device: torch.device) -> str:
    return (
        f"bitsandbytes cannot hold weights in 4 bits on {device.type}; it does on CUDA and, from 0.46 on, on x86 and ARM "
        "processors: use --heal lora here"
    )


def _missing(package: str) -> str:
    return f"{package} is not installed; install it with: pip install {package}, or use --heal distill"
