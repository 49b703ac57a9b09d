"""Losses by chunks: the same numbers and gradients as with all logits at once."""

import pytest
import torch
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from analyzers.layers import frozen
from analyzers.tasks import Batch, next_token
from analyzers.tasks.language_modeling import LanguageModeling, has_plain_head


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, pad_token_id=0
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def batch() -> Batch:
    ids = torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(1))
    return Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids, torch.arange(3))


@pytest.mark.parametrize("chunk", [1, 100, 2**24])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_all_logits_at_once(
    monkeypatch: pytest.MonkeyPatch, chunk: int, bias: bool
) -> None:
    monkeypatch.setattr(next_token, "CHUNK", chunk)
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 11, bias=bias)
    hidden = torch.randn(2, 5, 8, requires_grad=True)
    targets = torch.randint(0, 11, (2, 5))
    weights = torch.rand(2, 5)  # each loss counts differently, so a gradient that mixes positions is seen

    loss, hit = next_token.next_token_losses(hidden, head, targets)
    (gradient,) = torch.autograd.grad((loss * weights).sum(), hidden)
    logits = head(hidden)
    expected = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), hidden)

    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)
    assert torch.equal(hit, (logits.argmax(-1) == targets).float())


def test_scores_are_the_same_with_and_without_chunks(model: LlamaForCausalLM, batch: Batch) -> None:
    with torch.no_grad():
        chunked, whole = (LanguageModeling(plain_head=plain).scores(model, batch) for plain in (True, False))
    for ours, plain in zip(chunked, whole, strict=True):
        torch.testing.assert_close(ours, plain)
    assert chunked.loss.shape == chunked.weight.shape == chunked.hit.shape == (3,)
    assert chunked.weight.tolist() == [8, 8, 8]


def test_a_frozen_model_never_makes_all_logits(
    model: LlamaForCausalLM, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_logits(*_: object, **__: object) -> None:
        raise AssertionError("the whole model was called")

    monkeypatch.setattr(LlamaForCausalLM, "forward", no_logits)
    with frozen(model), torch.enable_grad():
        norm = model.model.norm.weight.requires_grad_()
        loss = LanguageModeling(plain_head=True).scores(model, batch).loss
        assert torch.autograd.grad(loss.sum(), norm)[0].abs().sum() > 0


def test_a_head_that_is_trained_gets_its_gradient(model: LlamaForCausalLM, batch: Batch) -> None:
    LanguageModeling(plain_head=True).losses(model, batch).sum().backward()
    assert model.lm_head.weight.grad is not None


def test_a_model_that_changes_its_logits_is_noticed(model: LlamaForCausalLM) -> None:
    assert has_plain_head(model)
    model.lm_head.register_forward_hook(lambda module, args, output: output * 1)
    assert has_plain_head(model)
    before = type(model).forward

    def capped(self: LlamaForCausalLM, *args: object, **kwargs: object) -> object:
        output = before(self, *args, **kwargs)
        output.logits = output.logits.tanh() * 5
        return output

    type(model).forward = capped
    try:
        assert not has_plain_head(model)
    finally:
        type(model).forward = before
