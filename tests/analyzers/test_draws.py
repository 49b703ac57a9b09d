"""Dropout on some rows of a batch is that of these rows in the whole batch."""

import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForCausalLM

from analyzers.draws import WholeDraws

SHARES = ([slice(0, 5)], [slice(0, 2), slice(2, 5)], [slice(0, 1), slice(1, 4), slice(4, 5)])


def in_shares(run, shares, batch: int = 5):
    """What each share gives from the same random numbers, and the random numbers after each."""
    found, after = [], []
    for rows in shares:
        torch.manual_seed(0)
        with WholeDraws(rows, batch):
            found.append(run(rows))
        after.append(torch.rand(3))
    return torch.cat(found), after


def whole(run, batch: int = 5):
    torch.manual_seed(0)
    return run(slice(0, batch)), torch.rand(3)


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 1, 3), (2, 0, 1, 3)])
def test_masks_are_those_of_the_whole_batch(shares, order):
    """Whatever the order in memory is: a mask is drawn in that."""
    values = torch.randn(5, 4, 3, 2).permute(order).contiguous().permute([order.index(axis) for axis in range(4)])
    run = lambda rows: F.dropout(values[rows], 0.4)  # noqa: E731
    (expected, after), (found, afters) = whole(run), in_shares(run, shares)
    assert torch.equal(found, expected)
    assert all(torch.equal(each, after) for each in afters)


def test_rows_that_are_folded_into_heads():
    values = torch.randn(5, 2, 3)
    run = lambda rows: F.dropout(values[rows].flatten(0, 1), 0.4)  # noqa: E731
    assert torch.equal(in_shares(run, SHARES[1])[0], whole(run)[0])


def test_in_place_and_outside_of_training():
    values = torch.randn(5, 3)
    run = lambda rows: F.dropout(values[rows].clone(), 0.4, True, True)  # noqa: E731
    assert torch.equal(in_shares(run, SHARES[2])[0], whole(run)[0])
    still = lambda rows: F.dropout(values[rows], 0.4, False)  # noqa: E731
    assert torch.equal(in_shares(still, SHARES[2])[0], values)


@pytest.mark.parametrize("masking", ["none", "causal", "bool", "float", "gqa", "scaled"])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_attention(masking: str, dropout: float):
    query, key, value = torch.randn(3, 5, 4, 6, 8)
    options: dict = {"dropout_p": dropout}
    mask = torch.rand(5, 1, 6, 6) > 0.3
    mask[..., 0] = True
    if masking == "gqa":
        key, value = key[:, :2], value[:, :2]
        options["enable_gqa"] = True
    options |= {"causal": {"is_causal": True}, "scaled": {"scale": 0.1}}.get(masking, {})

    def run(rows: slice) -> torch.Tensor:
        given = mask[rows] if masking == "bool" else torch.where(mask[rows], 0.0, -1e9) if masking == "float" else None
        return F.scaled_dot_product_attention(query[rows], key[rows], value[rows], attn_mask=given, **options)

    (expected, after), (found, afters) = whole(run), in_shares(run, SHARES[1])
    torch.testing.assert_close(found, expected)
    assert all(torch.equal(each, after) for each in afters)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_gradients_of_shares_add_up_to_that_of_the_batch(kind: str, attention: str):
    torch.manual_seed(1)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 20,
    }
    if kind == "encoder":
        model = BertForSequenceClassification(BertConfig(**sizes, attn_implementation=attention))
    else:
        model = LlamaForCausalLM(LlamaConfig(**sizes, attention_dropout=0.2, attn_implementation=attention))
    model.train()
    ids, present = torch.randint(0, 20, (5, 7)), torch.ones(5, 7, dtype=torch.long)
    present[1, 4:] = 0

    def run(rows: slice) -> torch.Tensor:
        logits = model(input_ids=ids[rows], attention_mask=present[rows]).logits
        logits.logsumexp(-1).sum().backward()
        return logits.detach()

    expected, after = whole(run)
    gradients = {name: each.grad.clone() for name, each in model.named_parameters() if each.grad is not None}
    model.zero_grad()
    found, afters = in_shares(run, SHARES[2])
    torch.testing.assert_close(found, expected)
    assert all(torch.equal(each, after) for each in afters)
    for name, gradient in gradients.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, rtol=1e-4, atol=1e-5)
