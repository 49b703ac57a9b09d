import numpy as np
import pytest
import torch

from analyzers.errors import DataError
from analyzers.importance import activation_patching as module
from analyzers.importance.activation_patching import activation_patching, corrupted
from analyzers.tasks import Batch
from tests import tiny
from tests.analyzers.importance.test_ablation import softplus
from tests.analyzers.test_layers import bart


def instead(monkeypatch: pytest.MonkeyPatch, change) -> None:
    """Corrupt the ids by `change`."""
    monkeypatch.setattr(
        module,
        "corrupted",
        lambda engine, batch, *_: Batch(
            {**batch.inputs, "input_ids": change(batch.inputs["input_ids"])}, batch.labels, batch.indices
        ),
    )


def test_by_hand(monkeypatch: pytest.MonkeyPatch):
    # The text has the value 1 and becomes −2. Block 0 adds 0.5 · 1 for the clean text, block 1 adds 2 · 1.5.
    instead(monkeypatch, lambda ids: torch.full_like(ids, 2))
    found = activation_patching(tiny.engine(tiny.scalar_stack(0.5, 2.0), tiny.batches([[1]], [0])))
    corrupt = softplus(2 * 1.5 * 3)
    expected = [corrupt - softplus(-(-2 + 0.5) * 3), corrupt - softplus(-(-2 * 1.5 + 2 * 1.5))]
    assert [score.value for score in found] == pytest.approx(expected, rel=1e-5)


def test_a_block_that_adds_nothing_brings_nothing_back(monkeypatch: pytest.MonkeyPatch):
    instead(monkeypatch, lambda ids: torch.full_like(ids, 3))
    zero, one = activation_patching(tiny.engine(tiny.scalar_stack(0.0, 2.0), tiny.batches([[1], [2]], [0, 1])))
    assert zero.value == pytest.approx(0, abs=1e-6)
    assert one.value != 0


def test_a_text_that_is_not_corrupted_has_nothing_to_recover(monkeypatch: pytest.MonkeyPatch):
    instead(monkeypatch, lambda ids: ids)
    found = activation_patching(tiny.engine(tiny.bert(), tiny.random_batches()))
    assert [score.value for score in found] == pytest.approx([0, 0, 0], abs=1e-5)


def swapped(ids: torch.Tensor) -> torch.Tensor:
    return torch.where((ids > 2) & (ids < 30), ids + 1, ids)


MODELS = [
    (tiny.bert, tiny.random_batches()),
    (tiny.llama, tiny.windows(count=4)),
    (bart, tiny.batches([[3, 4, 5, 2], [6, 7, 9, 2]], [0, 1])),
]


@pytest.mark.parametrize(("build", "data"), MODELS)
def test_equals_full_passes_with_a_hook(build, data, monkeypatch: pytest.MonkeyPatch):
    instead(monkeypatch, swapped)
    engine = tiny.engine(build(), data)
    model, layered = engine.layered.model, engine.layered
    rows = []
    for batch in data:
        corrupt = Batch({**batch.inputs, "input_ids": swapped(batch.inputs["input_ids"])}, batch.labels, batch.indices)
        updates = {}
        with torch.no_grad(), layered.capturing(lambda i, x, y, u=updates: u.update({i: y - x})):
            model(**batch.inputs)
        with torch.no_grad():
            columns = [engine.task.losses(model, corrupt)]
            for block in layered.blocks:

                def patch(module, args, kwargs, output, update=updates[block.index]):
                    given = args[0] if args else kwargs["hidden_states"]
                    return (given + update, *output[1:]) if isinstance(output, tuple) else given + update

                handle = block.module.register_forward_hook(patch, with_kwargs=True)
                columns.append(engine.task.losses(model, corrupt))
                handle.remove()
        rows.append(torch.stack([columns[0] - each for each in columns[1:]], dim=1))
    expected = torch.cat(rows).mean(0)
    found = activation_patching(engine)
    assert [score.value for score in found] == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-5)
    for score in found:
        assert score.low < score.value < score.high


def test_the_corrupted_text_keeps_its_special_tokens_and_its_frequencies():
    data = tiny.batches([[1, *[5] * 30, *[6] * 10, 2], [1, *[7] * 20, 2]], [0, 1])
    engine = tiny.engine(tiny.bert(), data)
    engine.tokenizer.all_special_ids = [0, 1, 2]
    before = data[0].inputs["input_ids"]
    vocabulary = before[before > 2]
    after = corrupted(engine, data[0], vocabulary, torch.Generator().manual_seed(0)).inputs["input_ids"]
    assert torch.equal(after[before <= 2], before[before <= 2])
    drawn = after[before > 2].tolist()
    assert set(drawn) == {5, 6, 7}
    assert np.mean([each == 5 for each in drawn]) == pytest.approx(0.5, abs=0.15)
    again = corrupted(engine, data[0], vocabulary, torch.Generator().manual_seed(0)).inputs["input_ids"]
    assert torch.equal(after, again)


def test_language_models_use_few_windows():
    engine = tiny.engine(tiny.llama(), tiny.windows(count=20))
    activation_patching(engine)
    assert engine.diagnostics["activation_patching_examples"] == 4


def test_texts_of_special_tokens_only():
    with pytest.raises(DataError, match=r"2 calibration examples hold special tokens only; .*: give other texts"):
        activation_patching(tiny.engine(tiny.scalar_stack(1.0, 1.0), tiny.batches([[0], [0]], [0, 1])))
