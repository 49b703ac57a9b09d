"""The fast way of per-example gradients against the slow one, and when the slow one is taken."""

import numpy as np
import pytest
import torch
from torch import nn

from analyzers.importance import gradients
from analyzers.importance.gradients import one_by_one, per_example_gradients, together
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.tasks import task_of
from analyzers.tasks.classification import Classification
from analyzers.tasks.language_modeling import LanguageModeling
from tests import tiny
from tests.analyzers.test_layers import bart


class Listener(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def gpt2():
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=tiny.VOCABULARY, n_embd=8, n_layer=2, n_head=2, n_positions=16, bos_token_id=None, eos_token_id=None
    )
    return GPT2LMHeadModel(config).eval()


@pytest.mark.parametrize(
    ("build", "data"),
    [
        (tiny.bert, tiny.random_batches(batch_size=10)),
        (tiny.llama, tiny.windows(batch_size=6)),
        (lambda: tiny.llama(head="SequenceClassification"), tiny.random_batches(batch_size=10)),
        (gpt2, tiny.windows(batch_size=6)),  # its linear layers are Conv1D
        (gpt2, tiny.windows(count=3, tokens=2, batch_size=3)),  # few tokens: norms by products of pairs of them
    ],
)
def test_both_ways_agree(build, data):
    layered = LayeredModel(build())
    task = task_of(layered.model)
    fast, slow = together(layered, task, data[0]), one_by_one(layered, task, data[0])
    assert fast.shape == slow.shape == (2, len(data[0]), len(layered))
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-5)


def test_the_inner_product_is_the_slope_of_the_loss():
    layered = LayeredModel(tiny.bert())
    batch = tiny.random_batches()[0]
    inner = one_by_one(layered, Classification(), batch)[1].sum(0)  # (layers,)
    step = 1e-3
    for block in layered.blocks:
        around = []
        for scale in (1 + step, (1 - step) / (1 + step), 1 / (1 - step)):
            for parameter in block.module.parameters():
                parameter.data *= scale
            with torch.no_grad():
                around.append(float(Classification().losses(layered.model, batch).sum()))
        assert (around[0] - around[1]) / (2 * step) == pytest.approx(float(inner[block.index]), rel=0.02, abs=0.01)


def sweep(layered: LayeredModel, task, data) -> tuple[np.ndarray, list[str]]:
    listener = Listener()
    return per_example_gradients(layered, task, data, listener).squared_norm, listener.said


def expected(layered: LayeredModel, task, data) -> np.ndarray:
    return np.concatenate([one_by_one(layered, task, batch)[0].numpy() for batch in data])


def test_the_fast_way_is_taken_where_it_is_right(monkeypatch: pytest.MonkeyPatch):
    slow = []
    measure = gradients.one_by_one
    monkeypatch.setattr(gradients, "one_by_one", lambda *args: slow.append(len(args[2])) or measure(*args))
    layered = LayeredModel(tiny.bert())
    _, said = sweep(layered, Classification(), tiny.random_batches())
    assert said == []
    assert slow == [gradients.CHECKED]  # to check, and no more


def shared_weight():
    """Two blocks with one weight: its gradient is the sum over both."""
    model = tiny.scalar_stack(0.5, 0.5)
    model.blocks[1].linear.weight = model.blocks[0].linear.weight
    return model


def shared_part():
    """One linear layer that two blocks use."""
    model = tiny.scalar_stack(0.5, 0.5)
    model.blocks[1].linear = model.blocks[0].linear
    return model


class Scaled(tiny.Residual):
    """Has a parameter of its own beside those of its parts."""

    def __init__(self) -> None:
        super().__init__([[0.5]])
        self.scale = nn.Parameter(torch.tensor([2.0]))

    def forward(self, hidden):
        return self.scale * super().forward(hidden)


class Mixing(tiny.Residual):
    """Puts the examples of a batch behind one another before its linear layer."""

    def forward(self, hidden):
        return hidden + self.linear(hidden.flatten(0, 1)).view_as(hidden)


class Bound(tiny.Residual):
    """Uses the weight of its part without calling the part."""

    def forward(self, hidden):
        return hidden + hidden @ self.linear.weight.T


class InPlace(tiny.Residual):
    """Changes what its linear layer returned."""

    def forward(self, hidden):
        return hidden + self.linear(hidden).mul_(2.0)


def stack_of(kind, *arguments):
    return lambda: tiny.Stack([[0.0], [1.0], [-2.0], [0.5]], [kind(*arguments) for _ in range(2)], [[1.0], [0.0]])


def test_an_output_that_is_changed_in_place():
    layered = LayeredModel(stack_of(InPlace, [[0.5]])())
    data = tiny.batches([[1, 2], [2, 3], [3, 1]], [0, 1, 0])
    fast, slow = (way(layered, Classification(), data[0]) for way in (together, one_by_one))
    assert (slow != 0).all()
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (shared_weight, "shares parameters between parts"),
        (shared_part, "Linear is called in a way of its own"),
        (stack_of(Mixing, [[0.5]]), "Linear does not keep the examples apart"),
        (stack_of(Bound, [[0.5]]), "shares parameters between parts"),
        (stack_of(Scaled), "Scaled has parameters beside those of its parts"),
    ],
)
def test_falls_back_to_one_by_one(build, reason: str):
    layered = LayeredModel(build())
    data = tiny.batches([[1, 2], [2, 3], [3, 1]], [0, 1, 0], batch_size=2)
    found, said = sweep(layered, Classification(), data)
    assert len(said) == 1
    assert said[0].startswith("gradients one example at a time")
    assert reason in said[0]
    np.testing.assert_allclose(found, expected(layered, Classification(), data), rtol=1e-5)
    assert (found > 0).all()


def test_shared_weight_by_hand():
    # h = x (1 + w)²: each block has the whole gradient of the weight that it shares, 2 x (1 + w) ∂loss/∂h.
    found, _ = sweep(LayeredModel(shared_weight()), Classification(), tiny.batches([[1]], [0]))
    slope = -1 / (1 + np.exp(2.25))
    assert found == pytest.approx(np.full((1, 2), (2 * 1.5 * slope) ** 2), rel=1e-5)


def test_an_encoder_with_a_decoder():
    layered = LayeredModel(bart())
    data = tiny.batches([[3, 4, 5, 2], [6, 2], [7, 8, 2]], [0, 1, 0])
    found, said = sweep(layered, Classification(), data)
    assert "does not depend on the input of block 0" in said[0]
    np.testing.assert_allclose(found, expected(layered, Classification(), data), rtol=1e-5)


@pytest.mark.parametrize("way", [together, one_by_one])
def test_the_model_is_left_as_it_was(way):
    model = tiny.llama().train()
    model.lm_head.weight.requires_grad_(False)
    before = tiny.state(model)
    way(LayeredModel(model), LanguageModeling(), tiny.windows()[0])
    tiny.assert_state(model, before)

    class Broken(LanguageModeling):
        def losses(self, model, batch):
            super().losses(model, batch)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        way(LayeredModel(model), Broken(), tiny.windows()[0])
    tiny.assert_state(model, before)
