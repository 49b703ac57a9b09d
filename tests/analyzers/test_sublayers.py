"""Attention and MLP parts as layers of their own."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from analyzers.coalitions import Coalitions
from analyzers.errors import ModelError
from analyzers.layers import LayeredModel
from analyzers.sublayers import SubLayers
from analyzers.tasks import task_of
from tests import tiny

WINDOWS = tiny.windows()
PROBE = WINDOWS[0].inputs


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    sizes = {"n_embd": 8, "n_layer": 3, "n_head": 2, "n_positions": 16}
    return GPT2LMHeadModel(GPT2Config(vocab_size=tiny.VOCABULARY, initializer_range=0.4, **sizes)).eval()


@torch.no_grad()
def by_hand(model, ids: Tensor, kept: frozenset[int]) -> Tensor:
    """Logits of a Llama whose forward is written out here, with only some of its parts."""
    body = model.model
    hidden = body.embed_tokens(ids)
    positions = body.rotary_emb(hidden, torch.arange(ids.shape[1]).unsqueeze(0))
    mask = torch.full((ids.shape[1], ids.shape[1]), float("-inf")).triu(1)[None, None]
    for number, block in enumerate(body.layers):
        if 2 * number in kept:
            given = block.input_layernorm(hidden)
            hidden = hidden + block.self_attn(given, position_embeddings=positions, attention_mask=mask)[0]
        if 2 * number + 1 in kept:
            hidden = hidden + block.mlp(block.post_attention_layernorm(hidden))
    return model.lm_head(body.norm(hidden))


def subsets(units: int) -> list[frozenset[int]]:
    return [frozenset(some) for count in range(units + 1) for some in combinations(range(units), count)]


def test_the_parts_of_a_llama():
    model = tiny.llama()
    parts = SubLayers(model, PROBE)
    names = [part.name for part in parts.blocks]
    assert names[:3] == ["model.layers.0.self_attn", "model.layers.0.mlp", "model.layers.1.self_attn"]
    assert [part.index for part in parts.blocks] == list(range(6))
    assert parts.groups == [{0, 1}, {2, 3}, {4, 5}]
    attention, mlp = (
        sum(p.numel() for p in part.parameters())
        for part in (model.model.layers[0].self_attn, model.model.layers[0].mlp)
    )
    assert [part.parameters for part in parts.blocks[:2]] == [attention + 8, mlp + 8]  # each with its norm of width 8
    assert sum(part.parameters for part in parts.blocks) == sum(
        block.parameters for block in LayeredModel(model).blocks
    )


def test_every_set_of_parts_equals_a_forward_by_hand():
    model = tiny.llama()
    parts = SubLayers(model, PROBE)
    for kept in subsets(6):
        with torch.no_grad(), parts.skipping(set(range(6)) - kept):
            found = model(**PROBE).logits
        torch.testing.assert_close(found, by_hand(model, PROBE["input_ids"], kept), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [tiny.llama, gpt2])
def test_replayed_sets_equal_those_that_run_from_the_beginning(build):
    model = build()
    task = task_of(model)
    together = Coalitions(SubLayers(model, PROBE), task, WINDOWS)
    together.measure(subsets(6))
    for kept in subsets(6)[::5]:
        alone = Coalitions(SubLayers(model, PROBE), task, WINDOWS)[kept].loss
        assert alone == pytest.approx(together[kept].loss, rel=1e-5)


def test_whole_blocks_are_the_same_as_without_parts():
    model = tiny.llama()
    parts = Coalitions(SubLayers(model, PROBE), task_of(model), WINDOWS)
    blocks = Coalitions(LayeredModel(model), task_of(model), WINDOWS)
    for kept in subsets(3):
        units = frozenset(unit for block in kept for unit in (2 * block, 2 * block + 1))
        assert parts.mean_loss(units) == pytest.approx(blocks.mean_loss(kept), rel=1e-6)


def test_what_replaying_saves():
    model = tiny.llama()
    runs: list[int] = []
    for number, block in enumerate(model.model.layers):
        block.mlp.register_forward_hook(lambda *_, number=number: runs.append(number))
    parts = Coalitions(SubLayers(model, PROBE), task_of(model), WINDOWS[:1])
    parts[frozenset()]  # a block that is skipped for the first time runs once more, to see what it returns
    runs.clear()
    parts.measure([parts.everything - {4}, parts.everything])
    assert runs == [0, 1, 2, 2], "blocks before the part in which two sets differ run once"


def test_a_block_that_normalises_the_sum_is_refused():
    with pytest.raises(ModelError, match=r"parts of BertLayer \(bert\.encoder\.layer\.0\).*--granularity block"):
        SubLayers(tiny.bert(), tiny.random_batches()[0].inputs)


def test_a_block_without_parts_is_refused():
    model = tiny.scalar_stack(0.5, 0.5)
    with pytest.raises(ModelError, match="parts of Residual"):
        SubLayers(model, tiny.batches([[1, 2]], [0])[0].inputs)


def test_a_norm_that_two_parts_share_goes_with_neither():
    class Parallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(1)
            self.one, self.two = (nn.Sequential(nn.Linear(1, 1), nn.Tanh()) for _ in range(2))

        def forward(self, hidden: Tensor) -> Tensor:
            given = self.norm(hidden)
            return hidden + self.one(given) + self.two(given)

    model = tiny.scalar_stack(0.5, 0.5)
    model.blocks = nn.ModuleList([Parallel(), Parallel()])
    parts = SubLayers(model, tiny.batches([[1, 2]], [0])[0].inputs)
    assert [part.parameters for part in parts.blocks] == [2, 2, 2, 2]


def test_the_model_is_left_as_it_was():
    model = tiny.llama().train()
    before = tiny.state(model)
    parts = SubLayers(model, PROBE)
    tiny.assert_state(model, before)
    with pytest.raises(RuntimeError, match="broken"), parts.skipping({0, 2, 3}):
        raise RuntimeError("broken")
    tiny.assert_state(model, before)
