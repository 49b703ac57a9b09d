import numpy as np
import pytest
import torch
from torch import nn

from analyzers.errors import ModelError
from analyzers.importance import dropout_uncertainty as module
from analyzers.importance.dropout_uncertainty import dropout_uncertainty
from analyzers.layers import LayeredModel
from tests import tiny
from tests.analyzers.test_layers import bart


class Dropping(tiny.Residual):
    """h + W h, or with probability p h alone; W h is scaled by 1 / (1 − p) when it stays."""

    def __init__(self, weight: float, p: float = 0.5) -> None:
        super().__init__([[weight]])
        self.dropout = nn.Dropout(p)

    def forward(self, hidden):
        return hidden + self.dropout(self.linear(hidden))


def dropping(*weights: float) -> tiny.Stack:
    return tiny.Stack([[0.0], [1.0], [-2.0]], [Dropping(weight) for weight in weights], [[1.0], [0.0]])


def entropy(p: float) -> float:
    return float(-(p * np.log(p) + (1 - p) * np.log(1 - p)))


def sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


def test_by_hand(monkeypatch: pytest.MonkeyPatch):
    # Block 0 dropped or doubled, then block 1 as it is: the logit is 1 · 2 or (1 + 2) · 2 with chances ½.
    monkeypatch.setattr(module, "DRAWS", 5000)
    engine = tiny.engine(dropping(1.0, 1.0), tiny.batches([[1]], [0]))
    zero, one = dropout_uncertainty(engine)
    for layer, (score, logits) in enumerate([(zero, (2, 6)), (one, (2, 6))]):
        chances = [sigmoid(logit) for logit in logits]
        within = np.mean([entropy(p) for p in chances])
        assert score.value == pytest.approx(entropy(float(np.mean(chances))) - within, rel=0.05)
        assert engine.diagnostics[f"dropout_uncertainty_aleatoric_{layer}"] == pytest.approx(within, rel=0.05)


def test_a_block_whose_units_do_not_matter():
    zero, one = dropout_uncertainty(engine := tiny.engine(dropping(0.0, 1.0), tiny.batches([[1], [2]], [0, 1])))
    assert zero.value == pytest.approx(0, abs=1e-9)  # its dropout changes nothing, and that of block 1 is not at work
    assert one.value > 0.01
    expected = np.mean([entropy(sigmoid(2)), entropy(sigmoid(-4))])
    assert engine.diagnostics["dropout_uncertainty_aleatoric_0"] == pytest.approx(expected, rel=1e-5)


def test_parts_add_up_to_the_entropy_of_the_mean(monkeypatch: pytest.MonkeyPatch):
    """Against plain passes with the same masks, one at a time."""
    monkeypatch.setattr(module, "TOKENS_AT_ONCE", 1)
    data = tiny.random_batches(4)
    engine = tiny.engine(tiny.bert(dropout=0.3), data)
    found = dropout_uncertainty(engine)
    model, batch = engine.layered.model, data[0]
    torch.manual_seed(0)
    for block in engine.layered.blocks:
        chances = []
        for _ in range(module.DRAWS):
            model.eval()
            block.module.train()
            with torch.no_grad():
                chances.append(model(**batch.inputs).logits.double().softmax(-1))
        each = torch.stack(chances)
        total = torch.distributions.Categorical(probs=each.mean(0)).entropy()
        within = torch.distributions.Categorical(probs=each).entropy().mean(0)
        assert found[block.index].value == pytest.approx(float((total - within).mean()), rel=1e-4)
        aleatoric = engine.diagnostics[f"dropout_uncertainty_aleatoric_{block.index}"]
        assert aleatoric == pytest.approx(float(within.mean()), rel=1e-4)
        assert found[block.index].low < found[block.index].value < found[block.index].high


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=tiny.VOCABULARY, n_embd=8, n_layer=2, n_head=2, n_positions=16, bos_token_id=None, eos_token_id=None
    )
    return GPT2LMHeadModel(config)


def test_a_language_model():
    engine = tiny.engine(gpt2(), tiny.windows(count=20))
    found = dropout_uncertainty(engine)
    assert engine.diagnostics["dropout_uncertainty_examples"] == 4
    aleatoric = [engine.diagnostics[f"dropout_uncertainty_aleatoric_{layer}"] for layer in range(2)]
    assert all(0 < value <= np.log(tiny.VOCABULARY) for value in aleatoric)
    assert all(0 < score.value < np.log(tiny.VOCABULARY) for score in found)


def test_dropout_that_is_a_number_of_the_block():
    model = bart()  # calls dropout as a function
    found = dropout_uncertainty(tiny.engine(model, tiny.batches([[3, 4, 2], [5, 6, 2]], [0, 1])))
    assert all(score.value > 1e-6 for score in found)
    assert len(found) == 4


def test_nothing_else_is_put_in_training_mode():
    model = tiny.bert(dropout=0.3)
    block = LayeredModel(model).blocks[1]
    block.module.output.LayerNorm = nn.Sequential(nn.BatchNorm1d(8)).eval()
    with module._dropout(block):
        training = {type(each).__name__ for each in model.modules() if each.training}
    assert training == {"BertSelfAttention", "BertSelfOutput", "BertOutput", "Dropout"}
    assert not any(each.training for each in model.modules())


def test_the_random_numbers_of_others_are_left_alone():
    engine = tiny.engine(tiny.bert(dropout=0.3), tiny.random_batches(4))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    dropout_uncertainty(engine)
    assert torch.rand(1) == expected


@pytest.mark.parametrize("build", [tiny.llama, tiny.bert])
def test_a_block_without_dropout(build):
    data = tiny.windows() if build is tiny.llama else tiny.random_batches()
    with pytest.raises(ModelError, match=r"block 0 \(\S+\) has no dropout with a probability above 0; .*--methods"):
        dropout_uncertainty(tiny.engine(build(), data))
