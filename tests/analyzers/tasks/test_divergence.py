"""How far predictions are from those of the dense model."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from analyzers.coalitions import Coalitions
from analyzers.layers import LayeredModel
from analyzers.tasks import task_of
from analyzers.tasks.divergence import Divergence
from tests import tiny


@pytest.mark.parametrize(
    ("build", "data", "shift"), [(tiny.llama, tiny.windows(), 1), (tiny.bert, tiny.random_batches(), 0)]
)
def test_it_equals_a_loop_over_examples(build, data, shift: int):
    model = build()
    layered = LayeredModel(model)
    measured = Coalitions(layered, Divergence(task_of(model), model, data), data)
    kept = frozenset({0, 2})
    expected = np.zeros(measured.examples)
    for batch in data:
        for row in range(len(batch)):
            one = batch.rows(row, row + 1)
            with torch.no_grad():
                dense = model(**one.inputs).logits[0]
                with layered.skipping({1}):
                    found = model(**one.inputs).logits[0]
            if shift:
                dense, found = dense[:-1], found[:-1]  # the last token predicts nothing
            apart = F.kl_div(found.log_softmax(-1), dense.log_softmax(-1), log_target=True, reduction="none").sum(-1)
            expected[int(one.indices[0])] = float(apart.mean())
    np.testing.assert_allclose(measured[kept].loss, expected, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(measured[measured.everything].loss, 0, atol=1e-5)
    assert measured[measured.everything].hit.tolist() == [1] * measured.examples
    assert measured.metric(kept) == pytest.approx(expected.mean(), rel=1e-3)


def test_by_hand():
    """The dense model gives σ(6) to class 0, without its second block σ(2)."""
    model = tiny.scalar_stack(1.0, 2.0)
    data = tiny.batches([[1]], [0])
    task = tiny.engine(model, data).task
    measured = Coalitions(LayeredModel(model), Divergence(task, model, data), data)
    p, q = 1 / (1 + np.exp(-6)), 1 / (1 + np.exp(-2))
    expected = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert measured.mean_loss(frozenset({0})) == pytest.approx(expected, rel=1e-4)


def test_the_model_is_left_as_it_was():
    model = tiny.bert(dropout=0.5).train()
    before = tiny.state(model)
    Divergence(task_of(model), model, tiny.random_batches())
    tiny.assert_state(model, before)
