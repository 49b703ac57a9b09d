"""Blocks that are out for good: what is left is the model with those blocks skipped, and plain transformers opens it."""

from pathlib import Path

import pytest
import torch

from analyzers.compression.configuration import is_position
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


def t5(**changes):
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 2}
    torch.manual_seed(0)
    return T5ForConditionalGeneration(T5Config(**sizes, **changes)).eval()


def test_a_stack_keeps_a_block():
    with pytest.raises(BadTarget, match="some of 0 to 3, at least one of each stack is left"):
        remove_blocks(t5(), [0, 1])


def test_the_decoder_is_shortened_and_the_encoder_is_not():
    pruned = remove_blocks(t5(), [3])
    assert (pruned.config.num_layers, pruned.config.num_decoder_layers) == (2, 1)
    assert (len(pruned.encoder.block), len(pruned.decoder.block)) == (2, 1)
    assert pruned.decoder.config.num_layers == 1


def test_the_next_block_inherits_the_table_of_the_position_bias():
    model = t5()
    pruned = remove_blocks(model, [0])
    first = pruned.encoder.block[0].layer[0].SelfAttention
    assert first.has_relative_attention_bias
    table = model.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight
    assert torch.equal(first.relative_attention_bias.weight, table)
    assert not hasattr(model.encoder.block[1].layer[0].SelfAttention, "relative_attention_bias")


def test_a_scale_that_goes_by_the_position():
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": 40, "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64}
    model = GPT2LMHeadModel(GPT2Config(**sizes, scale_attn_by_inverse_layer_idx=True)).eval()
    with pytest.raises(ModelError, match=r"transformer.h.2.attn has scaling .* and would get"):
        remove_blocks(model, [1])
    assert remove_blocks(model, [2]).config.n_layer == 2


@pytest.mark.parametrize(
    ("name", "before", "after", "position"),
    [
        ("layer_idx", 3, 2, True),
        ("layer_idx", 3, 0, False),
        ("shift_size", 3, 2, False),
        ("use_index", True, 2, False),
    ],
)
def test_what_is_the_position_of_a_block(name: str, before, after, position: bool):
    assert is_position(name, before, after, old=3 if before is not True else 1, position=2) == position


def test_lists_that_are_as_long_as_a_stack_and_have_nothing_to_do_with_it():
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12, "num_conv_pos_embeddings": 4}
    strides = {"conv_dim": [8, 8], "conv_kernel": [4, 4], "conv_stride": [4, 4], "num_conv_pos_embedding_groups": 2}
    pruned = remove_blocks(Wav2Vec2Model(Wav2Vec2Config(num_hidden_layers=2, **sizes, **strides)), [0])
    assert pruned.config.num_hidden_layers == 1
    assert list(pruned.config.conv_dim) == [8, 8]


def test_no_stack(build_encoder):
    with pytest.raises(NoBlocks):
        remove_blocks(build_encoder(1), [0])
