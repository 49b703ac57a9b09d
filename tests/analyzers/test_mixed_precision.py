"""Where products are taken in bfloat16, and that nothing but them is."""

from pathlib import Path

import pytest
import torch
from torch import nn

from analyzers.mixed_precision import mixed, settled
from tests.analyzers.test_training import fit

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"avx512_bf16": False, "avx2": True}, "no"),
        ({}, "no"),
    ],
)
def test_auto_goes_by_the_processor(capabilities: dict, expected: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert settled("auto", CPU) == expected
    assert settled("auto", torch.device("meta")) == "no"
    assert settled("bf16", CPU) == "bf16", "what is asked for is done"
    assert settled("no", CPU) == "no"


@pytest.mark.parametrize("emulated", [False, True])
def test_auto_does_not_emulate_on_a_gpu(emulated: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation or not emulated
    )
    assert settled("auto", torch.device("cuda")) == ("no" if emulated else "bf16")


def test_products_are_rounded_and_gradients_are_not():
    torch.manual_seed(0)
    layer, given = nn.Linear(64, 64), torch.randn(8, 64)
    with mixed("bf16", CPU):
        rounded = layer(given)
    assert rounded.dtype == torch.bfloat16
    rounded.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == layer.weight.dtype == torch.float32
    with mixed("no", CPU):
        exact = layer(given)
    torch.testing.assert_close(rounded.float(), exact, rtol=2**-6, atol=2**-6)


def test_both_ways_learn_and_differ(tmp_path: Path):
    (exact, weights), (rounded, other) = (
        fit(tmp_path / way, epochs=6, patience=6, mixed_precision=way) for way in ("no", "bf16")
    )
    assert all(tensor.dtype == torch.float32 for tensor in other.values() if tensor.is_floating_point())
    assert any(not torch.equal(weights[name], other[name]) for name in weights)
    best = [max(epoch.select.metric.value for epoch in result.epochs) for result in (exact, rounded)]
    assert min(best) > 0.9, best
