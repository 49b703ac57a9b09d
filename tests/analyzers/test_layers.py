import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from analyzers.errors import ModelError, NoBlocks
from analyzers.layers import LayeredModel, frozen
from tests import tiny


class Nested(nn.Module):
    """A residual block with a list of composed parts of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2)) for _ in range(2)))

    def forward(self, hidden):
        return hidden + self.parts(hidden)


class Pair(tiny.Residual):
    """Returns a tuple with something beside the hidden states, as MPNet's and DeBERTa's blocks do."""

    def forward(self, hidden):
        return super().forward(hidden), "attention"


class PairStack(tiny.Stack):
    def forward(self, input_ids, attention_mask):
        hidden = self.embeddings(input_ids)
        for block in self.blocks:
            hidden, _ = block(hidden)
        return SimpleNamespace(logits=self.head(hidden.mean(1)))


class Raising(tiny.Residual):
    """Works until `broken` is set."""

    broken = False

    def forward(self, hidden):
        if self.broken:
            raise RuntimeError("broken")
        return super().forward(hidden)


def bart():
    from transformers import BartConfig, BartForSequenceClassification

    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=tiny.VOCABULARY,
        d_model=8,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=8,
        decoder_ffn_dim=8,
        max_position_embeddings=16,
        init_std=0.4,
        num_labels=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
    )
    return BartForSequenceClassification(config).eval()


def inputs_of(model) -> dict:
    return (tiny.windows() if "CausalLM" in type(model).__name__ else tiny.random_batches(batch_size=10))[0].inputs


@torch.no_grad()
def logits(model, **inputs):
    return model(**(inputs or inputs_of(model))).logits


MODELS = {"bert": tiny.bert, "llama": tiny.llama, "stack": lambda: tiny.Stack(*random_stack())}


def random_stack(kind=tiny.Residual, layers: int = 3):
    torch.manual_seed(0)
    weights = torch.randn(layers, 2, 2).tolist()
    return torch.randn(tiny.VOCABULARY, 2).tolist(), [kind(weight) for weight in weights], torch.randn(2, 2).tolist()


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def without(model, layers: set[int]):
    """A plain copy that was built without these blocks."""
    pruned = copy.deepcopy(model)
    container = LayeredModel(pruned).blocks[0].container
    for layer in sorted(layers, reverse=True):
        del container[layer]
    return pruned


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (tiny.bert, [f"bert.encoder.layer.{i}" for i in range(3)]),
        (tiny.llama, [f"model.layers.{i}" for i in range(3)]),
        (
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 4), 2, enable_nested_tensor=False),
            ["layers.0", "layers.1"],
        ),
        (lambda: nn.Sequential(tiny.Residual([[1.0]]), tiny.Residual([[2.0]])), ["0", "1"]),
        (lambda: nn.Sequential(Nested(), Nested()), ["0", "1"]),  # the lists inside blocks are no stacks
        (lambda: nn.ModuleDict({"body": nn.Sequential(Nested(), Nested())}), ["body.0", "body.1"]),
        (bart, [f"model.{half}.layers.{i}" for half in ("encoder", "decoder") for i in (0, 1)]),
    ],
)
def test_blocks_are_found_by_structure(build, names):
    assert [layer.name for layer in LayeredModel(build()).layers] == names


def test_layers_have_their_index_and_parameters():
    layers = LayeredModel(tiny.Stack(*random_stack())).layers
    assert [(layer.index, layer.name, layer.parameters) for layer in layers] == [
        (0, "blocks.0", 4),
        (1, "blocks.1", 4),
        (2, "blocks.2", 4),
    ]


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(2, 2),
        lambda: nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),  # a plain layer has no parts
        lambda: nn.Sequential(tiny.Residual([[1.0]]), nn.TransformerEncoderLayer(1, 1, 1)),  # not repeated
        lambda: tiny.bert(layers=1),
        lambda: nn.ModuleList([tiny.Residual([[1.0]])] * 3),  # one block three times is one block
        lambda: nn.Sequential(nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU())),  # no parameters
    ],
)
def test_no_blocks(build):
    with pytest.raises(NoBlocks, match=r"has no stack of two or more repeated blocks.*give another model"):
        LayeredModel(build())


@pytest.mark.parametrize("skip", [set(), {0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}])
def test_skipping_is_the_model_built_without_the_block(model, skip: set[int]):
    with LayeredModel(model).skipping(skip):
        skipped = logits(model)
    assert torch.equal(skipped, logits(without(model, skip)))
    assert torch.equal(skipped, logits(model)) == (not skip)


def test_skipping_by_hand():
    model = tiny.scalar_stack(1.0, 2.0, 3.0, values=(0.0, 1.5))
    inputs = {"input_ids": torch.tensor([[1]]), "attention_mask": torch.tensor([[1]])}
    assert logits(model, **inputs).tolist() == [[1.5 * 2 * 3 * 4, 0.0]]
    with LayeredModel(model).skipping({1}):
        assert logits(model, **inputs).tolist() == [[1.5 * 2 * 4, 0.0]]


def test_skipped_blocks_return_what_their_kind_returns():
    model = PairStack(*random_stack(Pair))
    with LayeredModel(model).skipping({0, 2}):
        skipped = logits(model)
    assert torch.equal(skipped, logits(without(model, {0, 2})))


def test_a_block_that_changes_the_shape_cannot_be_skipped():
    class Halving(tiny.Residual):
        def forward(self, hidden):
            return super().forward(hidden)[..., :1]

    model = nn.Sequential(*(Halving([[1.0, 0.0], [0.0, 1.0]]) for _ in range(2)))
    with (
        LayeredModel(model).skipping({0}),
        pytest.raises(ModelError, match=r"block 0 \(0\) turns \(3, 2\) into \(3, 1\)"),
    ):
        model(torch.ones(3, 2))


def test_capturing_gives_every_input_and_output(model):
    seen = {}
    with LayeredModel(model).capturing(lambda layer, given, output: seen.update({layer: (given, output)})):
        logits(model)
    assert sorted(seen) == [0, 1, 2]
    assert torch.equal(seen[0][1], seen[1][0])
    assert torch.equal(seen[1][1], seen[2][0])
    assert all(not torch.equal(given, output) for given, output in seen.values())
    if isinstance(model, tiny.Stack):
        hidden = model.embeddings(inputs_of(model)["input_ids"])
        for layer, block in enumerate(model.blocks):
            assert torch.equal(seen[layer][0], hidden)
            hidden = hidden + hidden @ block.linear.weight.T
            torch.testing.assert_close(seen[layer][1], hidden)


def test_capturing_equals_the_hidden_states_of_transformers():
    model = tiny.bert()
    seen = {}
    with LayeredModel(model).capturing(lambda layer, given, output: seen.update({layer: output})):
        logits(model)
    expected = model(**inputs_of(model), output_hidden_states=True).hidden_states
    assert all(torch.equal(seen[layer], expected[layer + 1]) for layer in range(3))


@pytest.mark.parametrize("start", [0, 1, 2])
def test_replay_gives_the_logits_of_a_full_forward(model, start: int):
    layered = LayeredModel(model)
    inputs = {}
    with layered.capturing(lambda layer, given, output: inputs.update({layer: given})):
        expected = logits(model)
    with layered.replaying(start, inputs[start]):
        assert torch.equal(logits(model), expected)


def test_replay_goes_on_from_what_it_is_given():
    model = tiny.scalar_stack(1.0, 2.0, 3.0)
    inputs = {"input_ids": torch.tensor([[1]]), "attention_mask": torch.tensor([[1]])}
    with LayeredModel(model).replaying(2, torch.tensor([[[7.0]]])):
        assert logits(model, **inputs).tolist() == [[7.0 * 4, 0.0]]


def test_replay_does_not_run_earlier_blocks():
    model = tiny.Stack(*random_stack(Raising))
    layered = LayeredModel(model)
    inputs = {}
    with layered.capturing(lambda layer, given, output: inputs.update({layer: given})):
        expected = logits(model)
    with layered.replaying(2, inputs[2]):
        logits(model)  # now it knows what blocks return
        model.blocks[0].broken = model.blocks[1].broken = True
        assert torch.equal(logits(model), expected)


def test_a_decoder_goes_on_with_what_its_encoder_gave():
    model = bart()
    inputs = tiny.batches([[3, 4, 5, 2], [6, 2], [7, 8, 2]], [0, 1, 0])[0].inputs
    layered = LayeredModel(model)
    assert not layered.replayable  # one hidden state alone does not say all about what came before
    with layered.watching_inputs({2, 3}) as seen:
        expected = logits(model, **inputs)
    for start in (2, 3):
        with layered.replaying(start, seen[start]):
            torch.testing.assert_close(logits(model, **inputs), expected)
    with layered.skipping({0}), layered.watching_inputs({3}) as seen:
        expected = logits(model, **inputs)
    with layered.replaying(3, seen[3]):  # block 0 stays skipped: it is part of what was watched
        torch.testing.assert_close(logits(model, **inputs), expected)


def test_a_decoder_is_not_replayed_without_its_encoder():
    layered = LayeredModel(bart())
    with (
        pytest.raises(
            ModelError, match=r"several stacks of blocks.*what block 1 gave is missing; watch the input of block 3"
        ),
        layered.replaying(3, torch.zeros(1, 1, 8)),
    ):
        pass
    for start in (0, 1):
        with layered.replaying(start, torch.empty(0)):
            pass


class Backwards(tiny.Stack):
    """Runs its blocks in another order than it names them, one of them twice."""

    order = (0, 2, 1, 2)

    def forward(self, input_ids, attention_mask):
        hidden = self.embeddings(input_ids)
        for block in self.order:
            hidden = self.blocks[block](hidden)
        return SimpleNamespace(logits=self.head(hidden.mean(1)))


@pytest.mark.parametrize(
    ("order", "kept"), [((0, 1, 2), {0, 1, 2}), ((0, 2, 1), {0}), ((0, 1, 2, 1), {0}), ((0, 1, 2, 2), {0, 1})]
)
def test_inputs_that_do_not_say_what_came_before_are_left_out(order, kept: set[int]):
    model = Backwards(*random_stack())
    model.order = order
    with LayeredModel(model).watching_inputs({0, 1, 2}) as seen:
        logits(model)
    assert set(seen) == kept


def test_watching_inputs():
    model = tiny.Stack(*random_stack())
    layered = LayeredModel(model)
    inputs = {}
    with layered.capturing(lambda layer, given, output: inputs.update({layer: given})):
        logits(model)
    with layered.watching_inputs({0, 2}) as seen, layered.skipping({1}):
        logits(model)
    assert sorted(seen) == [0, 2]
    assert torch.equal(seen[0], inputs[0])
    assert torch.equal(seen[2], inputs[1])


def test_differentiating_activations(model):
    layered = LayeredModel(model)
    model.train()
    kept = []

    def keep(layer, given, output):
        output.retain_grad()
        kept.append((given, output))

    with layered.differentiating_activations(), layered.capturing(keep):
        assert not model.training
        model(**inputs_of(model)).logits.sum().backward()
    assert kept[0][0].is_leaf
    assert kept[0][0].grad is not None
    assert all(output.grad is not None for _, output in kept)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training


def contexts(layered: LayeredModel) -> list:
    return [
        lambda: layered.skipping({1, 2}),
        lambda: layered.replaying(2, torch.zeros(10, 7, 2)),
        lambda: layered.capturing(lambda *_: None),
        lambda: layered.watching_inputs({0, 1}),
        lambda: layered.differentiating_activations(),
        lambda: frozen(layered.model),
    ]


@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("raising", [False, True])
def test_state_is_restored(which: int, raising: bool):
    model = tiny.Stack(*random_stack(Raising)).train()
    model.blocks[1].eval()
    model.head.weight.requires_grad_(False)
    before, expected = tiny.state(model), logits(model)
    layered = LayeredModel(model)
    model.blocks[0].broken = raising
    with contexts(layered)[which]():
        if raising:
            with pytest.raises(RuntimeError, match="broken"):
                model(**inputs_of(model))
        else:
            model(**inputs_of(model))
    with pytest.raises(KeyboardInterrupt), contexts(layered)[which]():
        raise KeyboardInterrupt
    model.blocks[0].broken = False
    tiny.assert_state(model, before)
    assert torch.equal(logits(model), expected)


def test_a_forward_that_somebody_else_set_is_restored():
    model = tiny.Stack(*random_stack())
    block = model.blocks[1]
    block.forward = own = lambda hidden: 2 * hidden
    with LayeredModel(model).skipping({1}):
        assert block.forward is not own
    assert block.forward is own
