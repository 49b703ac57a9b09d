from collections import Counter

import numpy as np
import pytest
import torch

from analyzers.errors import DataError
from analyzers.importance import mutual_information as module
from analyzers.importance.mutual_information import TOKENS, PooledStates, held_out_losses, mutual_information
from analyzers.tasks import Batch
from tests import tiny

ROWS = 60


def pooled(engine):
    found = engine.reduced(PooledStates)
    return found["features"], found["labels"]


class Lifting(tiny.Residual):
    """h + |W h|: shows in unit 1 how large unit 0 is. An identity where the slope is 0."""

    def __init__(self, slope: float) -> None:
        super().__init__([[0.0, 0.0], [slope, 0.0]])

    def forward(self, hidden):
        return hidden + self.linear(hidden).abs()


def lifted(reveals: str) -> tuple[tiny.Stack, list]:
    """Unit 0 is ±1, or 0.1 where the label is 1: a linear probe cannot tell before a block shows its size."""
    embeddings = [[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.1, 0.0]]
    blocks = [Lifting(slope=5.0 * (reveals == f"block {layer}")) for layer in range(2)]
    model = tiny.Stack(embeddings, blocks, [[1.0, 0.0], [0.0, 0.0]])
    texts = [[(1, 3, 2, 3)[row % 4]] for row in range(ROWS)]
    return model, tiny.batches(texts, [row % 2 for row in range(ROWS)], batch_size=16)


def values(model, data, seed: int = 0) -> list[float]:
    return [score.value for score in mutual_information(tiny.engine(model, data, seed))]


def test_a_block_that_reveals_the_label_adds_nearly_all_of_it():
    zero, one = values(*lifted("block 1"))
    assert zero == pytest.approx(0, abs=1e-9)  # an identity adds nothing
    assert 0.8 * np.log(2) < one < 1.05 * np.log(2)  # the label has log 2 nats


def test_what_is_already_shown_is_not_added_again():
    zero, one = values(*lifted("block 0"))
    assert zero > 0.8 * np.log(2)
    assert one == pytest.approx(0, abs=0.05)


def test_identities_add_nothing():
    assert values(*lifted("nothing")) == pytest.approx([0, 0], abs=1e-9)


def test_noise_labels_have_no_information():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(80, 5))
    losses = held_out_losses(features, generator.integers(0, 2, 80), seed=0)
    assert losses.mean() == pytest.approx(np.log(2), abs=0.05)  # of the entropy nothing is explained


def test_the_loss_is_held_out():
    # More features than rows: whoever fits and measures on the same rows thinks that noise explains the labels.
    generator = np.random.default_rng(0)
    losses = held_out_losses(generator.normal(size=(40, 100)), np.arange(40) % 2, seed=0)
    assert losses.mean() > 0.9 * np.log(2)


def test_a_perfect_feature():
    labels = np.arange(60) % 3
    losses = held_out_losses(np.eye(3)[labels], labels, seed=0)
    assert losses.shape == (60,)
    assert losses.max() < 0.2


def test_features_without_variance():
    assert held_out_losses(np.ones((20, 3)), np.arange(20) % 2, seed=0) == pytest.approx(np.log(2), abs=1e-3)


def test_features_are_means_over_present_tokens():
    model = tiny.scalar_stack(1.0, 2.0)  # token values 0, 1, −2, 0.5
    engine = tiny.engine(model, tiny.batches([[1, 2, 3], [1], [3, 3]], [0, 1, 1]))
    features, labels = pooled(engine)
    before = np.array([(1 - 2 + 0.5) / 3, 1, 0.5])
    assert features.shape == (3, 3, 1)  # depths, examples, width
    np.testing.assert_allclose(features[:, :, 0], [before, 2 * before, 6 * before], rtol=1e-6)
    assert labels.tolist() == [0, 1, 1]


def test_a_language_model_predicts_the_next_token():
    engine = tiny.engine(tiny.llama(), tiny.windows(count=3, tokens=8, batch_size=3))
    features, labels = pooled(engine)
    assert features.shape == (4, 3 * 7, 8)  # every position but the last has a next token
    batch = engine.batches[0]
    after = engine.layered.model(**batch.inputs, output_hidden_states=True).hidden_states[1]  # (3, 8, width)
    following = {tuple(after[w, p].tolist()): int(batch.labels[w, p + 1]) for w in range(3) for p in range(7)}
    assert [following[tuple(row)] for row in features[1].tolist()] == labels.tolist()


def test_rare_tokens_are_one_class():
    ids = torch.arange(30).repeat_interleave(torch.arange(1, 31))[None, :]
    ids = ids.flatten()[:450].reshape(30, 15)
    batch = Batch({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, ids, torch.arange(30))
    _, labels = pooled(tiny.engine(tiny.llama(), [batch]))
    counts = Counter(ids[:, 1:].flatten().tolist())
    common = {token for token, _ in counts.most_common(TOKENS)}
    assert set(labels.tolist()) <= common | {-1}
    assert len(set(labels.tolist())) == TOKENS + 1


@pytest.mark.parametrize("labels", [[0] * 12, [0] * 8 + [1] * 4])
def test_too_few_examples_of_a_class(labels: list[int]):
    data = tiny.batches([[1]] * 12, labels)
    with pytest.raises(DataError, match=r"12 calibration examples hold 1 classes with 5 or more.*--samples"):
        values(tiny.scalar_stack(1.0, 1.0), data)


def test_classes_that_are_too_rare_are_left_out():
    engine = tiny.engine(tiny.scalar_stack(1.0, 1.0), tiny.batches([[1], [2]] * 6 + [[3]], [0, 1] * 6 + [2]))
    mutual_information(engine)
    assert engine.diagnostics["mutual_information_examples"] == 12


def test_rows_are_bounded_and_stay_together(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ROWS", 20)
    texts = [[1 + i % 3] for i in range(100)]
    engine = tiny.engine(tiny.scalar_stack(1.0, 2.0), tiny.batches(texts, [i % 3 for i in range(100)], batch_size=7))
    found = engine.reduced(PooledStates)
    assert found["features"].shape == (3, 20, 1)
    values = {0: 1.0, 1: -2.0, 2: 0.5}  # of tokens 1 to 3, which go with labels 0 to 2
    assert found["features"][0, :, 0].tolist() == [values[label] for label in found["labels"].tolist()]
    assert [example % 3 for example in found["examples"].tolist()] == found["labels"].tolist()


def test_windows_are_what_is_resampled():
    engine = tiny.engine(tiny.llama(), tiny.windows(count=6, tokens=40, batch_size=3))
    mutual_information(engine)
    assert engine.values["mutual_information"].shape == (6, 3)
