"""Quality with intervals, latency in turn, size."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analyzers import evaluation
from analyzers.coalitions import Losses
from analyzers.errors import Cancelled
from analyzers.evaluation import disk, forward_call, kept_share, latencies, latency_measurements, outcome, quality
from analyzers.progress import Progress
from analyzers.tasks import Batch
from analyzers.tasks.classification import Classification
from analyzers.tasks.language_modeling import LanguageModeling

CPU = torch.device("cpu")


def losses(hits: list[float], loss: list[float] | None = None, weight: float = 1.0) -> Losses:
    values = np.array(loss if loss is not None else [1 - hit for hit in hits], dtype=float)
    return Losses(values, np.full(len(hits), weight), np.array(hits, dtype=float))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """A clock that only moves when a call takes its time."""
    state = SimpleNamespace(now=0.0)
    monkeypatch.setattr(evaluation.time, "perf_counter", lambda: state.now)
    return state


def takes(clock, seconds: list[float], name: str, order: list[str]):
    durations = iter(seconds)

    def call() -> None:
        order.append(name)
        clock.now += next(durations)

    return call


def test_latencies_are_taken_in_turn(clock):
    order: list[str] = []
    calls = {
        "dense": takes(clock, [9, 9, 4, 6, 8], "a", order),
        "half": takes(clock, [9, 9, 2, 2, 2], "b", order),
    }
    found = latencies(calls, CPU, 3)
    assert "".join(order) == "aabb" + "ababab"  # warm-up, then A B A B
    assert found["dense"].tolist() == [4, 6, 8]  # what came before the clock started is not in it
    assert found["half"].tolist() == [2, 2, 2]


def test_latencies_can_be_stopped(clock):
    progress = Progress()
    with pytest.raises(Cancelled):
        latencies({"dense": progress.cancel}, CPU, 3, progress)


def test_medians_and_the_ratio_of_pairs():
    batch = Batch({"attention_mask": torch.ones(8, 32)}, torch.zeros(8), torch.arange(8))
    # The machine slows down threefold: each pair still says 2.
    seconds = {"dense": np.array([0.1, 0.2, 0.3]), "half": np.array([0.05, 0.1, 0.15])}
    found = {(m.name, m.subject): m for m in latency_measurements(seconds, batch)}
    assert len(found) == 5
    assert found["latency_ms", "dense"].value == pytest.approx(200)
    assert found["latency_ms", "dense"].unit == "ms"
    assert found["latency_ms", "dense"].conditions == "8 texts of 32 tokens"
    assert found["latency_ms", "half"].value == pytest.approx(100)
    assert found["throughput", "half"].value == pytest.approx(80)
    speedup = found["speedup", "half/dense"]
    assert (speedup.value, speedup.low, speedup.high, speedup.n) == (pytest.approx(2), *[pytest.approx(2)] * 2, 3)
    latency = found["latency_ms", "dense"]
    assert latency.low == pytest.approx(100)
    assert latency.high == pytest.approx(300)
    assert latency.split is None


def test_an_outlier_does_not_move_the_median():
    batch = Batch({"attention_mask": torch.ones(1, 4)}, torch.zeros(1), torch.arange(1))
    latency, _ = latency_measurements({"model": np.array([0.01] * 30 + [5.0])}, batch)
    assert (latency.value, latency.low, latency.high) == tuple([pytest.approx(10)] * 3)


def test_quality_with_intervals():
    hits = [1.0] * 80 + [0.0] * 20
    accuracy, loss = quality(Classification(), losses(hits), "dense", "test")
    assert (accuracy.name, accuracy.subject, accuracy.split, accuracy.n) == ("accuracy", "dense", "test", 100)
    assert (loss.name, loss.unit) == ("loss", "nats")
    assert accuracy.value == pytest.approx(0.8)
    assert loss.value == pytest.approx(0.2)
    # The percentile bootstrap of a share is near its normal interval.
    half = 1.96 * math.sqrt(0.8 * 0.2 / 100)
    assert accuracy.low == pytest.approx(0.8 - half, abs=0.02)
    assert accuracy.high == pytest.approx(0.8 + half, abs=0.02)


def test_intervals_are_seeded():
    found = losses([1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0] * 5, loss=np.linspace(0, 1, 35).tolist())
    assert outcome(Classification(), found, 1) == outcome(Classification(), found, 1)
    assert outcome(Classification(), found, 1) != outcome(Classification(), found, 2)


def test_perplexity_weighs_by_tokens():
    found = Losses(np.array([math.log(2), math.log(8)]), np.array([3.0, 1.0]), np.zeros(2))
    # (3 log 2 + log 8) / 4 = 1.5 log 2
    assert outcome(LanguageModeling(), found).metric.value == pytest.approx(2**1.5)


def test_the_share_that_is_kept():
    dense, small = losses([1.0] * 90 + [0.0] * 10), losses([1.0] * 81 + [0.0] * 19)
    share = kept_share(Classification(), dense, small, "healed/dense", "test")
    assert (share.name, share.subject, share.n) == ("accuracy_ratio", "healed/dense", 100)
    assert share.value == pytest.approx(0.9)
    assert share.low < 0.9 < share.high


def test_the_share_is_paired_by_example():
    dice = np.random.default_rng(0)
    loss = dice.uniform(0.5, 3, 50)
    dense, small = losses([0.0] * 50, loss.tolist()), losses([0.0] * 50, (loss + math.log(1.5)).tolist())
    share = kept_share(LanguageModeling(), dense, small, "compressed/dense", "test")
    # Each loss rises by the same, so nothing is left to chance, however much the losses differ.
    assert (share.value, share.low, share.high) == tuple([pytest.approx(1.5)] * 3)


def test_a_share_of_nothing_is_no_number():
    share = kept_share(Classification(), losses([0.0] * 4), losses([1.0] * 4), "healed/dense", "test")
    assert math.isnan(share.value)


def test_disk_counts_the_weights(tmp_path: Path):
    (tmp_path / "model.safetensors").write_bytes(b"0" * 2_500_000)
    (tmp_path / "config.json").write_bytes(b"0" * 9_000_000)
    found = disk(tmp_path, "dense")
    assert (found.name, found.value, found.unit) == ("disk_mb", 2.5, "MB")


def test_parameters_are_counted():
    assert evaluation.parameters(torch.nn.Linear(3, 2), "dense").value == 8


def test_a_forward_call_needs_no_gradient():
    seen = []

    class Model(torch.nn.Module):
        def forward(self, input_ids):
            seen.append(torch.is_grad_enabled())

    forward_call(Model(), Batch({"input_ids": torch.zeros(1, 2)}, torch.zeros(1), torch.arange(1)))()
    assert seen == [False]
    assert torch.is_grad_enabled()
