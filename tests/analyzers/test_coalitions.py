import copy
import itertools

import numpy as np
import pytest
import torch

from analyzers.coalitions import Coalitions
from analyzers.errors import Cancelled, NotFinite
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.tasks import task_of
from analyzers.tasks.classification import Classification
from tests import tiny
from tests.analyzers.test_layers import bart


def coalitions(model, data) -> Coalitions:
    task = Classification() if isinstance(model, tiny.Stack) else task_of(model)
    return Coalitions(LayeredModel(model), task, data)


def subsets(layers: int) -> list[frozenset[int]]:
    return [frozenset(some) for n in range(layers + 1) for some in itertools.combinations(range(layers), n)]


@torch.no_grad()
def naive(model, task, data, kept: frozenset[int]) -> np.ndarray:
    """Losses of a copy from which the other blocks were deleted, one example at a time."""
    pruned = copy.deepcopy(model)
    blocks = LayeredModel(pruned).blocks
    for block in reversed(blocks):
        if block.index not in kept:
            del block.container[[b.module for b in blocks if b.container is block.container].index(block.module)]
    losses = np.zeros(sum(len(batch) for batch in data))
    for batch in data:
        for row in range(len(batch)):
            losses[batch.indices[row]] = float(task.losses(pruned, batch.rows(row, row + 1)))
    return losses


@pytest.mark.parametrize(
    ("build", "data"),
    [
        (lambda: tiny.bert(layers=5), tiny.random_batches()),
        (lambda: tiny.llama(layers=5), tiny.windows()),
        (lambda: tiny.llama(layers=3, head="SequenceClassification"), tiny.random_batches()),
        (lambda: tiny.scalar_stack(0.5, -0.3, 0.2, 1.0), tiny.batches([[1, 2], [3], [2]], [0, 1, 0], batch_size=2)),
        (bart, tiny.batches([[3, 4, 5, 2], [6, 2], [7, 8, 2]], [0, 1, 0])),
    ],
)
def test_every_subset_equals_a_naive_forward(build, data):
    model = build()
    measured = coalitions(model, data)
    sets = subsets(len(measured.layered))
    for kept, losses in zip(sets, measured.measure(sets), strict=True):
        np.testing.assert_allclose(
            losses.loss, naive(model, measured.task, data, kept), rtol=1e-4, atol=1e-5, err_msg=str(set(kept))
        )
    assert measured.evaluations == len(sets)


def test_by_hand():
    measured = coalitions(tiny.scalar_stack(1.0, 2.0), tiny.batches([[1], [2]], [0, 1]))  # values 1 and -2
    empty, whole = measured.measure([frozenset(), frozenset({0, 1})])
    np.testing.assert_allclose(empty.loss, np.log1p(np.exp([-1.0, -2.0])), rtol=1e-6)
    np.testing.assert_allclose(whole.loss, np.log1p(np.exp([-6.0, -12.0])), atol=1e-6)
    assert whole.hit.tolist() == whole.weight.tolist() == [1, 1]
    assert measured.mean_loss(frozenset()) == pytest.approx(float(np.log1p(np.exp([-1.0, -2.0])).mean()))
    assert measured.metric(frozenset()) == 1.0


def test_the_metric_of_a_language_model():
    measured = coalitions(tiny.llama(), tiny.windows())
    kept = frozenset({0, 2})
    assert measured.metric(kept) == pytest.approx(np.exp(measured[kept].loss.mean()))
    assert measured[kept].weight.tolist() == [7] * 6  # the first of 8 tokens is not predicted


def test_losses_stand_in_the_order_of_the_examples():
    data = tiny.random_batches()
    for batch in data:
        batch.indices.copy_(9 - batch.indices)
    model = tiny.bert()
    measured = coalitions(model, data)
    np.testing.assert_allclose(
        measured[measured.everything].loss, coalitions(model, tiny.random_batches())[measured.everything].loss[::-1]
    )


def test_a_set_is_measured_once(monkeypatch: pytest.MonkeyPatch):
    calls = []
    scores = Classification.scores
    monkeypatch.setattr(Classification, "scores", lambda *args: calls.append(1) or scores(*args))
    data = tiny.random_batches()  # 3 batches
    measured = coalitions(tiny.bert(), data)
    one, two = frozenset({0}), frozenset({1, 2})
    measured.measure([one, two, one])
    assert len(calls) == 2 * len(data)
    again = measured.measure([two, one])
    assert measured[one] is again[1]
    measured.mean_loss(two), measured.metric(two)
    assert len(calls) == 2 * len(data)
    measured.measure([one, frozenset()])
    assert len(calls) == 3 * len(data)
    assert set(measured.known()) == {one, two, frozenset()}
    assert measured.evaluations == 3


def test_what_sets_share_is_computed_once():
    model = tiny.scalar_stack(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    runs = []
    for layer, block in enumerate(model.blocks):
        block.linear.register_forward_hook(lambda *_, layer=layer: runs.append(layer))
    first = coalitions(model, tiny.batches([[1], [2]], [0, 1]))
    first[first.everything]
    assert runs == [0, 1, 2, 3, 4, 5]
    first[frozenset()]  # a block that is skipped for the first time runs once more, to see what it returns
    runs.clear()
    again = Coalitions(first.layered, first.task, first.batches)
    again.measure([again.everything - {layer} for layer in range(6)])
    # The set without layer l shares its first l layers with the next set: layer l runs once for each smaller one and once
    # more for all later ones, and not six times.
    assert [runs.count(layer) for layer in range(6)] == [1, 2, 3, 4, 5, 5]


def test_dropout_is_off_and_the_model_is_left_as_it_was():
    model = tiny.bert(dropout=0.5)
    expected = coalitions(model, tiny.random_batches())
    model.train()
    before = tiny.state(model)
    measured = coalitions(model, tiny.random_batches())
    for kept in subsets(3):
        np.testing.assert_array_equal(measured[kept].loss, expected[kept].loss)
    tiny.assert_state(model, before)


def test_not_finite():
    model = tiny.scalar_stack(1.0, 1.0)
    model.embeddings.weight.data[2] = float("nan")
    measured = coalitions(model, tiny.batches([[1], [1], [2], [1]], [0, 1, 0, 1], batch_size=2))
    where = r"the loss of example 2, in batch 2 of 2, is nan with all layers in place; layer 0 is the first.*look at that text"
    with pytest.raises(NotFinite, match=where):
        measured.measure([frozenset({0, 1})])
    assert np.isnan(measured[frozenset({1})].loss[2])  # a search goes on without such a set


def test_where_numbers_stop_being_finite():
    model = tiny.bert()
    model.bert.encoder.layer[1].output.dense.bias.data[0] = float("inf")
    measured = coalitions(model, tiny.random_batches())
    with pytest.raises(
        NotFinite, match=r"example 0, in batch 1 of 3, is nan .*; layer 1 is the first to give such numbers"
    ):
        measured[measured.everything]
    model = tiny.bert()
    model.classifier.bias.data[0] = float("nan")
    with pytest.raises(NotFinite, match="all layers give finite numbers"):
        (measured := coalitions(model, tiny.random_batches()))[measured.everything]


def test_cancelled_keeps_what_was_finished():
    measured = coalitions(tiny.bert(), tiny.random_batches())
    measured[frozenset({1})]
    progress = Progress()
    progress.advanced = lambda step, done, total: progress.cancel()
    with pytest.raises(Cancelled):
        measured.measure([frozenset({0})], progress)
    assert measured.known() == [frozenset({1})]


def test_a_model_that_raises_is_left_as_it_was():
    model = tiny.bert().train()

    def broken(*_):
        raise RuntimeError("broken")

    handle = model.classifier.register_forward_hook(broken)
    before = tiny.state(model)
    with pytest.raises(RuntimeError, match="broken"):
        coalitions(model, tiny.random_batches()).measure(subsets(3))
    tiny.assert_state(model, before)
    handle.remove()
