import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from analyzers.baselines import (
    Similarity,
    angular_block,
    block_influence,
    cosine_window,
    deepest_but_last,
    protected,
    random_draws,
    reverse_order,
    similarity,
    weight_times_gradient,
)
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.tasks import task_of
from analyzers.tasks.classification import Classification
from tests import tiny


class Turning(tiny.Residual):
    """Turns (x, y) by an angle: h + (R − 1) h."""

    def __init__(self, degrees: float) -> None:
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        super().__init__([[cosine - 1, -sine], [sine, cosine - 1]])


def task(last_token: bool) -> SimpleNamespace:
    """Language models look at the last token."""
    return SimpleNamespace(labelled=not last_token, run=lambda model, batch: model(**batch.inputs))


def turning(*degrees: float) -> LayeredModel:
    embeddings = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]
    return LayeredModel(tiny.Stack(embeddings, [Turning(angle) for angle in degrees], [[1.0, 0.0], [0.0, 1.0]]))


@pytest.mark.parametrize("last_token", [False, True])
def test_by_hand(last_token: bool):
    data = tiny.batches([[1, 2, 3], [2], [3, 1]], [0, 1, 0], batch_size=2)  # padded: token 0 is zero, and not counted
    found = similarity(turning(30, 90, 60), task(last_token), data, Progress())
    np.testing.assert_allclose(found.cosine, np.cos(np.radians([30, 90, 60])), atol=1e-6)
    expected = np.zeros((4, 4))
    for a, b, degrees in [(0, 1, 30), (1, 2, 90), (2, 3, 60), (0, 2, 120), (1, 3, 150), (0, 3, 180)]:
        expected[a, b] = degrees / 180
    np.testing.assert_allclose(found.angle, expected, atol=1e-3)  # arccos is steep near 1


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())])
@pytest.mark.parametrize("last_token", [False, True])
def test_equals_a_loop_over_tokens(build, data, last_token: bool):
    layered = LayeredModel(build())
    cosines, angles = [], []
    for batch in data:
        depths = {}
        with torch.no_grad(), layered.capturing(lambda i, x, y, d=depths: d.update({i: x, i + 1: y})):
            layered.model(**batch.inputs)
        for row in range(len(batch)):
            length = int(batch.inputs["attention_mask"][row].sum())
            for token in range(length):
                states = [depths[depth][row, token] for depth in range(4)]
                cosines.append([float(F.cosine_similarity(states[i], states[i + 1], dim=0)) for i in range(3)])
                if token == length - 1 or not last_token:
                    angles.append(
                        [
                            [np.arccos(np.clip(float(F.cosine_similarity(a, b, dim=0)), -1, 1)) / np.pi for b in states]
                            for a in states
                        ]
                    )
    found = similarity(layered, task(last_token), data, Progress())
    np.testing.assert_allclose(found.cosine, np.mean(cosines, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.angle, np.triu(np.mean(angles, axis=0), 1), rtol=1e-3, atol=1e-4)


def test_the_model_is_left_as_it_was():
    model = tiny.bert(dropout=0.5)
    expected = similarity(LayeredModel(model), task(False), tiny.random_batches(), Progress())
    model.train()
    before = tiny.state(model)
    found = similarity(LayeredModel(model), task(False), tiny.random_batches(), Progress())
    tiny.assert_state(model, before)
    assert (found.cosine == expected.cosine).all()


def test_block_influence_takes_those_that_change_least():
    found = Similarity(np.array([0.9, 0.2, 0.99, 0.9]), np.zeros((5, 5)), np.ones((5, 5)))
    assert block_influence(found, 0) == []
    assert block_influence(found, 1) == [2]
    assert block_influence(found, 2) == [0, 2]  # of equal ones the earlier
    assert block_influence(found, 4) == [0, 1, 2, 3]


def test_angular_block_takes_the_run_that_turns_least():
    found = similarity(turning(90, 10, -10, 40), task(False), tiny.batches([[1], [2]], [0, 1]), Progress())
    assert angular_block(found, 0) == []
    assert angular_block(found, 1) == [1]
    assert angular_block(found, 2) == [1, 2]  # there and back: together they do nothing
    assert angular_block(found, 3) == [1, 2, 3]
    assert angular_block(found, 4) == [0, 1, 2, 3]


def test_reverse_order():
    assert reverse_order(6, 0) == []
    assert reverse_order(6, 2) == [4, 5]
    assert reverse_order(6, 6) == [0, 1, 2, 3, 4, 5]


def test_cosine_window_takes_the_run_whose_ends_are_most_alike():
    found = similarity(turning(90, 10, -10, 40), task(True), tiny.batches([[1], [2]], [0, 1]), Progress())
    assert [cosine_window(found, remove) for remove in range(5)] == [[], [1], [1, 2], [1, 2, 3], [0, 1, 2, 3]]


def test_the_window_is_over_all_tokens_and_padding_is_none():
    data = tiny.batches([[1, 2, 3], [2]], [0, 1], batch_size=2)
    found = similarity(turning(30, 90, 60), task(True), data, Progress())
    assert found.window[0, 3] == pytest.approx(-1, abs=1e-6)
    assert np.diag(found.window, 1) == pytest.approx(found.cosine)
    np.testing.assert_allclose(found.window, found.window.T, atol=1e-6)


def test_deepest_but_last():
    assert deepest_but_last(6, 0) == []
    assert deepest_but_last(6, 2) == [3, 4]
    assert deepest_but_last(6, 5) == [0, 1, 2, 3, 4]


def test_protected_layers_go_last():
    scores = [0.0, 0.1, 0.2, 0.3, 9.0, 7.0, 8.0, 0.4, 0.5]  # the first four and the last two are low
    assert protected(scores, 2) == [5, 6]
    assert protected(scores, 3) == [4, 5, 6]
    assert protected(scores, 5) == [0, 1, 4, 5, 6]
    assert protected([3.0, 1.0, 2.0], 1) == [1]


def test_random_draws_are_seeded():
    draws = random_draws(30, 8, 3, 0)
    assert draws == random_draws(30, 8, 3, 0) != random_draws(30, 8, 3, 1)
    assert len({tuple(draw) for draw in draws}) == 3
    assert all(len(set(draw)) == 8 for draw in draws)


def test_weight_times_gradient_by_hand():
    """Logits (h, 0) with h = 1·1.5·3: the loss of class 1 is softplus(h), its slope σ(h), and ∂h/∂w is h / (1 + w)."""
    layered = LayeredModel(tiny.scalar_stack(0.5, 2.0))
    found = weight_times_gradient(layered, Classification(), tiny.batches([[1]], [1]), Progress())
    slope = 1 / (1 + math.exp(-4.5))
    assert found == pytest.approx([0.5 * slope * 3.0, 2.0 * slope * 1.5])


def test_weight_times_gradient_takes_each_parameter_alone():
    """Autograd over the whole loss at once, and what is left behind."""
    model = tiny.llama()
    before = tiny.state(model)
    data = tiny.windows()
    found = weight_times_gradient(LayeredModel(model), task_of(model), data, Progress())
    tiny.assert_state(model, before)
    loss = torch.cat([task_of(model).losses(model, batch) for batch in data]).mean()
    for block, value in zip(model.model.layers, found, strict=True):
        weights = list(block.parameters())
        gradients = torch.autograd.grad(loss, weights, retain_graph=True)
        expected = sum(float((w.detach() * g).abs().sum()) for w, g in zip(weights, gradients, strict=True))
        assert value == pytest.approx(expected, rel=1e-4)
