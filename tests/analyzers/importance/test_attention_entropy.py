import numpy as np
import pytest
import torch

from analyzers.errors import ModelError
from analyzers.importance.attention_entropy import attention_entropy, focus
from tests import tiny
from tests.analyzers.test_layers import bart


def test_by_hand():
    # A head that looks everywhere alike, and one that looks at one token: 0 and 1, on average ½.
    even, one = torch.full((4, 4), 0.25), torch.eye(4)
    attention, present = torch.stack([even, one]).unsqueeze(0), torch.ones(1, 4, dtype=torch.bool)
    assert focus(attention, present).tolist() == pytest.approx([0.5])
    # ¾ and ¼ to two of four tokens.
    entropy = 0.75 * np.log(4 / 3) + 0.25 * np.log(4)
    uneven = torch.tensor([0.75, 0.25, 0.0, 0.0]).expand(4, 4)
    found = focus(torch.stack([even, uneven]).unsqueeze(0), present)
    assert found.tolist() == pytest.approx([0.5 * (1 - entropy / np.log(4))])


def test_what_is_masked_or_padding_does_not_count():
    causal = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    present = torch.ones(1, 3, dtype=torch.bool)
    assert focus(causal.expand(1, 1, 3, 3), present).tolist() == pytest.approx([0], abs=1e-6)  # as even as it can be
    padded = torch.tensor([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0], [0.5, 0.5, 0.0]])
    entropy = 0.9 * np.log(1 / 0.9) + 0.1 * np.log(10)
    found = focus(padded.expand(1, 1, 3, 3), torch.tensor([[True, True, False]]))
    assert found.tolist() == pytest.approx([1 - entropy / np.log(2)])


def mpnet():
    """Shows its attention only when told to, beside the hidden states."""
    from transformers import MPNetConfig, MPNetForSequenceClassification

    torch.manual_seed(0)
    config = MPNetConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=8,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        initializer_range=0.4,
        pad_token_id=0,
    )
    return MPNetForSequenceClassification(config).eval()


@pytest.mark.parametrize(
    ("build", "data", "causal"),
    [
        (tiny.bert, tiny.random_batches(), False),
        (mpnet, tiny.random_batches(), False),
        (tiny.llama, tiny.windows(), True),
        (lambda: tiny.llama(head="SequenceClassification"), tiny.random_batches(), True),
    ],
)
def test_equals_a_loop_over_rows(build, data, causal: bool):
    model = build()
    implementation = model.config._attn_implementation
    engine = tiny.engine(model, data)
    found = attention_entropy(engine)
    assert model.config._attn_implementation == implementation
    assert model.config.output_attentions is False
    model.set_attn_implementation("eager")
    values = []
    for batch in data:
        with torch.no_grad():
            attentions = model(**batch.inputs, output_attentions=True).attentions
        assert len(attentions) == 3
        for row, length in enumerate(batch.inputs["attention_mask"].sum(1).tolist()):
            values.append([])
            for attention in attentions:
                shares = []
                for token in range(1 if causal else 0, length):
                    sees = token + 1 if causal else length
                    for head in attention[row]:
                        chances = head[token, :sees].double().numpy()
                        shares.append(1 + (chances * np.log(chances)).sum() / np.log(sees))
                values[-1].append(np.mean(shares))
    assert [score.value for score in found] == pytest.approx(np.mean(values, axis=0).tolist(), rel=1e-4)
    for score in found:
        assert score.low < score.value < score.high


def test_an_encoder_with_a_decoder():
    found = attention_entropy(tiny.engine(bart(), tiny.batches([[3, 4, 2], [5, 6, 2]], [0, 1])))
    assert len(found) == 4
    assert all(0 < score.value < 1 for score in found)


def mamba():
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=tiny.VOCABULARY, hidden_size=8, num_hidden_layers=2, state_size=4)
    return MambaForCausalLM(config).eval()


@pytest.mark.parametrize("build", [mamba, lambda: tiny.scalar_stack(1.0, 1.0)])
def test_a_model_without_attention(build):
    model = build()
    before = tiny.state(model)
    data = tiny.windows() if "CausalLM" in type(model).__name__ else tiny.random_batches()
    engine = tiny.engine(model, data)
    with pytest.raises(ModelError, match=r"blocks of \w+ show no attention .*: leave the method out with --methods"):
        attention_entropy(engine)
    tiny.assert_state(model, before)
