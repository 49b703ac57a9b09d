"""Blocks that are out for good: what is left is the model with those blocks skipped, and plain transformers opens it."""

from pathlib import Path

import pytest
import torch

from analyzers.compression.surgery import remove_blocks
from analyzers.errors import BadTarget, ModelError, NoBlocks
from analyzers.layers import LayeredModel


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model(**batch.inputs).logits


def masked(model, remove, batch) -> torch.Tensor:
    with LayeredModel(model).skipping(frozenset(remove)):
        return logits(model, batch)


@pytest.mark.parametrize("remove", [[0], [1, 2], [3], [0, 1, 3]])
def test_a_pruned_encoder_is_the_masked_one(remove: list[int], build_encoder, batch):
    model = build_encoder()
    pruned = remove_blocks(model, remove)
    assert torch.equal(logits(pruned, batch), masked(model, remove, batch))
    assert not torch.allclose(logits(pruned, batch), logits(model, batch), atol=1e-2)
    assert pruned.config.num_hidden_layers == len(pruned.bert.encoder.layer) == 4 - len(remove)


@pytest.mark.parametrize("remove", [[0], [1, 2], [2]])
def test_a_pruned_language_model_is_the_masked_one(remove: list[int], build_decoder, batch):
    model = build_decoder()
    pruned = remove_blocks(model, remove)
    assert torch.allclose(logits(pruned, batch), masked(model, remove, batch), atol=1e-5)
    assert not torch.allclose(logits(pruned, batch), logits(model, batch), atol=1e-2)
    assert [block.module.self_attn.layer_idx for block in LayeredModel(pruned).blocks] == list(range(4 - len(remove)))


def test_the_blocks_left_are_the_right_ones(build_encoder):
    model = build_encoder()
    pruned = remove_blocks(model, [0, 2])
    for own, original in enumerate((1, 3)):
        one, other = pruned.bert.encoder.layer[own], model.bert.encoder.layer[original]
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_given_model_stays_as_it_was(build_decoder, batch):
    model = build_decoder()
    before, weights = logits(model, batch), {name: value.clone() for name, value in model.state_dict().items()}
    pruned = remove_blocks(model, [0])
    with torch.no_grad():
        for parameter in pruned.parameters():
            parameter.zero_()
    assert len(LayeredModel(model)) == model.config.num_hidden_layers == 4
    assert [block.module.self_attn.layer_idx for block in LayeredModel(model).blocks] == [0, 1, 2, 3]
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert torch.equal(logits(model, batch), before)


@pytest.mark.parametrize("kind", ["Llama", "Mistral", "Qwen2"])
def test_plain_transformers_opens_it(kind: str, build_decoder, batch, tmp_path: Path):
    from transformers import AutoModelForCausalLM

    # One window in two: a configuration whose list is not cut picks the wrong mask and says nothing.
    windows = {
        "use_sliding_window": True,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"] * 2,
    }
    model = build_decoder(kind=kind, **(windows if kind == "Qwen2" else {}))
    pruned = remove_blocks(model, [0])
    assert torch.allclose(logits(pruned, batch), masked(model, [0], batch), atol=1e-5)
    pruned.save_pretrained(tmp_path)
    opened, report = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert torch.allclose(logits(opened.eval(), batch), masked(model, [0], batch), atol=1e-5)


def test_layer_types_lose_the_entries_of_the_removed(build_decoder):
    types = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
    model = build_decoder(kind="Qwen2", use_sliding_window=True, sliding_window=4, layer_types=types)
    assert remove_blocks(model, [0, 2]).config.layer_types == ["full_attention", "sliding_attention"]
    assert model.config.layer_types == types


def test_a_list_that_happens_to_be_as_long_is_kept(build_decoder):
    model = build_decoder(2, eos_token_id=[2, 3])
    assert remove_blocks(model, [1]).config.eos_token_id == [2, 3]


def test_a_depth_of_another_name(batch):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=40, n_embd=16, n_layer=3, n_head=2, n_positions=64, initializer_range=0.3)
    model = GPT2LMHeadModel(config).eval()
    pruned = remove_blocks(model, [1])
    assert pruned.config.n_layer == 2
    assert torch.allclose(logits(pruned, batch), masked(model, [1], batch), atol=1e-5)


@pytest.mark.parametrize("remove", [[4], [-1], [0, 9], [0, 1, 2, 3]])
def test_layers_that_cannot_be_removed(remove: list[int], build_encoder):
    with pytest.raises(BadTarget, match=r"cannot remove layers .* of 4; allowed are some of 0 to 3, not all"):
        remove_blocks(build_encoder(), remove)


def test_a_configuration_without_the_depth(build_encoder):
    model = build_encoder()
    model.config.num_hidden_layers = 7
    with pytest.raises(ModelError, match="no field that says it has 4 layers"):
        remove_blocks(model, [0])
    assert len(LayeredModel(model)) == 4


def test_two_stacks():
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 2}
    with pytest.raises(ModelError, match="more than one stack"):
        remove_blocks(T5ForConditionalGeneration(T5Config(**sizes)), [0])


def test_no_stack(build_encoder):
    with pytest.raises(NoBlocks):
        remove_blocks(build_encoder(1), [0])
