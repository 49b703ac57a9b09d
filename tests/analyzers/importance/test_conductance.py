import warnings

import numpy as np
import pytest
import torch

from analyzers.errors import ModelError
from analyzers.importance.conductance import baseline_embeddings, conductance, path_conductance, path_points
from tests import tiny
from tests.analyzers.test_layers import bart

MODELS = [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())]


def log_likelihood(h: float) -> float:
    """Of label 0 with logits (h, 0)."""
    return float(-np.log1p(np.exp(-h)))


def test_one_unit_by_hand():
    # With one unit a layer, all of F's change flows through it: F(1 · 2 · 3) − F(0).
    engine = tiny.engine(tiny.scalar_stack(1.0, 2.0), tiny.batches([[1]], [0]))
    expected = log_likelihood(6.0) - log_likelihood(0.0)
    assert [score.value for score in conductance(engine)] == pytest.approx([expected] * 2, rel=0.05)
    by_layer, change = path_conductance(engine, engine.batches[0], steps=500)
    assert float(change) == pytest.approx(expected, rel=1e-3)
    assert [float(units.sum()) for units in by_layer] == pytest.approx([expected] * 2, rel=6e-3)


def test_opposed_units_by_hand():
    # The logits are (a − b, 0) with a = 3t and b = 2t on the path: ∂F/∂a · da is 3 parts and ∂F/∂b · db −2 of F's change.
    blocks = [tiny.Residual([[0.0, 0.0], [0.0, 0.0]]) for _ in range(2)]
    model = tiny.Stack([[0.0, 0.0], [3.0, 2.0]], blocks, [[1.0, -1.0], [0.0, 0.0]])
    engine = tiny.engine(model, tiny.batches([[1]], [0]))
    change = log_likelihood(1.0) - log_likelihood(0.0)
    by_layer, _ = path_conductance(engine, engine.batches[0], steps=500)
    for units in by_layer:
        assert units.flatten().tolist() == pytest.approx([3 * change, -2 * change], rel=1e-3)
    assert [score.value for score in conductance(engine)] == pytest.approx([5 * change] * 2, rel=0.02)


@pytest.mark.parametrize(("build", "data"), MODELS)
def test_equals_captum(build, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from captum.attr import LayerConductance

    engine = tiny.engine(build(), data)
    model, batch, steps = engine.layered.model, data[0], 20
    others = {name: tensor for name, tensor in batch.inputs.items() if name != "input_ids"}

    def likelihood(embeddings, *tensors):
        # captum repeats the embeddings along the first axis for the steps, and the other inputs with them
        *inputs, labels = tensors
        inputs = dict(zip(others, inputs, strict=True))
        logits = model(inputs_embeds=embeddings, **inputs).logits
        if labels.ndim == 1:
            return logits.log_softmax(-1).gather(1, labels[:, None]).squeeze(1)
        return logits[:, :-1].log_softmax(-1).gather(2, labels[:, 1:, None]).squeeze(2).mean(1)

    by_layer, _ = path_conductance(engine, batch, steps)
    for block, units in zip(engine.layered.blocks, by_layer, strict=True):
        expected = LayerConductance(likelihood, block.module).attribute(
            model.get_input_embeddings()(batch.inputs["input_ids"]).detach(),
            baselines=baseline_embeddings(engine, batch),
            additional_forward_args=(*others.values(), batch.labels),
            n_steps=steps,
        )
        largest = float(expected.detach().abs().max())
        torch.testing.assert_close(units, expected.detach(), rtol=1e-4, atol=1e-4 * largest)


@pytest.mark.parametrize(("build", "data"), MODELS)
def test_complete_as_steps_grow(build, data):
    engine = tiny.engine(build(), data)

    def error(steps: int) -> float:
        by_layer, change = path_conductance(engine, data[0], steps)
        sums = torch.stack([units.flatten(1).sum(1) for units in by_layer])  # (layers, batch)
        return float((sums - change).abs().max() / change.abs().max())

    few, some, many = error(10), error(30), error(100)
    assert many < some < few
    assert many < 0.05


@pytest.mark.parametrize("build", [tiny.bert, lambda: tiny.llama(head="SequenceClassification")])
def test_padding_does_not_matter(build):
    model = build()
    found = []
    for batch_size in (4, 1):  # all padded to the longest; not padded
        engine = tiny.engine(model, tiny.random_batches(4, batch_size))
        found.append([score.value for score in conductance(engine)])
    assert found[0] == pytest.approx(found[1], rel=1e-3)


def test_the_path_goes_from_the_baseline_to_the_text():
    engine = tiny.engine(tiny.llama(head="SequenceClassification"), tiny.random_batches())
    batch, model = engine.batches[0], engine.layered.model
    blank = baseline_embeddings(engine, batch)
    _, change = path_conductance(engine, batch, steps=150)
    end = engine.task.losses(model, batch).detach()
    # The ids stay, so that the classifier still knows which token is the last.
    handle = model.get_input_embeddings().register_forward_hook(lambda *_: blank)
    start = engine.task.losses(model, batch).detach()
    handle.remove()
    torch.testing.assert_close(change, start - end, rtol=0.01, atol=0.01)


def test_baseline_keeps_special_tokens():
    engine = tiny.engine(tiny.bert(), tiny.batches([[1, 5, 6, 2], [1, 7, 2]], [0, 1]))
    engine.tokenizer.all_special_ids = [0, 1, 2]
    weight = engine.layered.model.get_input_embeddings().weight
    found = baseline_embeddings(engine, engine.batches[0])
    assert torch.equal(found, weight[torch.tensor([[1, 0, 0, 2], [1, 0, 2, 0]])])
    assert not found.requires_grad


def test_few_of_many_examples():
    engine = tiny.engine(tiny.scalar_stack(1.0, 2.0), tiny.batches([[1]] * 100, [0] * 100, batch_size=10))
    conductance(engine)
    assert engine.diagnostics["conductance_examples"] == 32
    assert engine.diagnostics["conductance_completeness_error"] < 0.05


def test_path_points_are_inside_and_symmetric():
    points = np.array(list(path_points(4)))
    assert len(points) == 5
    assert 0 < points[0] < points[-1] < 1
    assert points + points[::-1] == pytest.approx(1.0)


def test_an_encoder_with_a_decoder():
    engine = tiny.engine(bart(), tiny.batches([[3, 4, 2]], [0]))
    with pytest.raises(ModelError, match=r"an encoder and a decoder; conductance needs one stack.*--methods"):
        conductance(engine)
