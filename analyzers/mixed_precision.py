"""Training with the products of matrices in bfloat16, and weights, sums and losses in float32.

Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740; bfloat16 has the range of float32, so losses need no scaling
(Kalamkar et al. 2019, https://arxiv.org/abs/1905.12322). Only what is fitted is computed so: what is measured never is.
"""

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

MixedPrecision = Literal["auto", "bf16", "no"]


def settled(wanted: MixedPrecision, device: "torch.device") -> MixedPrecision:
    """What `auto` comes to: bf16 where the device multiplies it in hardware, otherwise no."""
    return wanted if wanted != "auto" else "bf16" if _in_hardware(device) else "no"


def mixed(wanted: MixedPrecision, device: "torch.device") -> AbstractContextManager[object]:
    """The context of a forward pass."""
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=settled(wanted, device) == "bf16")


def _in_hardware(device: "torch.device") -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(found.get(name, False) for name in ("amx_bf16", "avx512_bf16", "bf16"))
