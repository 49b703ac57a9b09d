import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from analyzers import scratch, training
from analyzers.datasets import Dataset, Example
from analyzers.datasets.splits import Splits, split
from analyzers.errors import Cancelled, DamagedRecord, NoBlocks, NotFinite, StorageError, UsageError
from analyzers.evaluation import losses_of, outcome
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import TrainRequest, TrainResult
from analyzers.schedule import batch_order, one_cycle
from analyzers.tasks.classification import Classification

WORDS = ("plain", "dull", "grey", "slow", "table", "chair", "lamp", "road", "bread", "stone")


def sentences(seed: int = 0) -> Splits:
    """200 sentences, positive if and only if they have the word "good"."""
    shuffler = random.Random(seed)
    examples = []
    for n in range(200):
        words = shuffler.choices(WORDS, k=shuffler.randint(2, 12))
        words[shuffler.randrange(len(words))] = "good" if n % 2 else "bad"
        examples.append(Example(" ".join(words), n % 2, str(n)))
    return split(Dataset(tuple(examples), ("negative", "positive"), "sentences"), seed)


def tiny(folder: Path, seed: int = 0):
    """A two-layer encoder with dropout, so that the state of the generator matters."""
    config = folder / "tiny.yaml"
    config.write_text("layers: 2\nwidth: 16\nheads: 2\nvocabulary: 320\nmax_tokens: 16\ndropout: 0.2\n")
    splits = sentences()
    model, tokenizer = scratch.build(config, [example.text for example in splits.train], splits.labels, seed)
    return model, tokenizer, splits


def request(**changes) -> TrainRequest:
    settings = {"model": "m", "data": "d", "epochs": 3, "batch_size": 16, "learning_rate": 1e-2}
    return TrainRequest(**(settings | changes))


def fit(folder: Path, progress: Progress | None = None, resume: bool = False, **changes) -> tuple[TrainResult, dict]:
    folder.mkdir(exist_ok=True)
    model, tokenizer, splits = tiny(folder)
    result = training.train(
        model,
        Classification(),
        tokenizer,
        splits,
        request(**changes),
        folder,
        progress or Progress(),
        resume=resume,
    )
    return result, {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


class StopAfter(Progress):
    """Stops after so many batches: as Ctrl-C, or as a cancelled job."""

    def __init__(self, batches: int, raising: type[BaseException] | None = None) -> None:
        super().__init__()
        self.batches = batches
        self.raising = raising
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def advanced(self, step: str, done: int, total: int) -> None:
        if done == self.batches:
            if self.raising:
                raise self.raising
            self.cancel()


def test_learns_and_keeps_the_best_epoch(tmp_path: Path):
    model, tokenizer, splits = tiny(tmp_path)
    heard = StopAfter(-1)
    settings = request(epochs=8, patience=8)
    result = training.train(model, Classification(), tokenizer, splits, settings, tmp_path, heard)
    assert (result.task, result.metric, result.layers) == ("classification", "accuracy", 2)
    assert result.labels == ["negative", "positive"]
    assert [epoch.epoch for epoch in result.epochs] == list(range(1, 9))
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    best = max(result.epochs, key=lambda epoch: (epoch.select.metric.value, -epoch.select.loss.value, -epoch.epoch))
    assert result.best_epoch == best.epoch
    assert best.select.metric.value > 0.95
    assert not model.training
    batches = Classification().batches(splits.select, tokenizer, 16, 16)
    assert outcome(Classification(), losses_of(LayeredModel(model), Classification(), batches)) == best.select
    assert sum(line.startswith("epoch ") for line in heard.said) == 8


def test_the_best_epoch_is_not_the_last(tmp_path: Path):
    # A rate far too high ruins what the first epochs learnt.
    for rate in (0.05, 0.2, 1.0):
        result, weights = fit(tmp_path / str(rate), epochs=6, patience=6, learning_rate=rate)
        kept = load_file(tmp_path / str(rate) / training.BEST)
        assert all(torch.equal(weights[name], tensor) for name, tensor in kept.items())
        if result.best_epoch < 6:
            return
    pytest.fail("every best epoch was the last: nothing was tested")


def test_stops_early(tmp_path: Path):
    result, _ = fit(tmp_path, epochs=30, patience=2)
    assert result.stopped_early
    assert len(result.epochs) == result.best_epoch + 2 < 30


def test_seeded(tmp_path: Path):
    _, one = fit(tmp_path / "one")
    _, two = fit(tmp_path / "two")
    _, other = fit(tmp_path / "other", seed=1)
    assert_same(one, two)
    assert not torch.equal(one["classifier.weight"], other["classifier.weight"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    return fit(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("batches", [1, 5, 9, 10, 13, 27])  # 9 batches an epoch
@pytest.mark.parametrize("raising", [None, KeyboardInterrupt])
def test_resume_is_exact(batches: int, raising, undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training, "SAVE_EVERY", 0.0)
    whole, expected = undisturbed
    with pytest.raises(raising or Cancelled):
        fit(tmp_path / "stopped", StopAfter(batches, raising))
    torch.rand(7)  # whatever happens in between must not matter
    resumed, weights = fit(tmp_path / "stopped", resume=True)
    assert_same(weights, expected)
    assert [epoch.select for epoch in resumed.epochs] == [epoch.select for epoch in whole.epochs]
    assert [e.train_loss for e in resumed.epochs] == [e.train_loss for e in whole.epochs]
    assert resumed.best_epoch == whole.best_epoch


def test_resume_after_states_of_whole_epochs_only(undisturbed, tmp_path: Path):
    _, expected = undisturbed
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "stopped", StopAfter(14, KeyboardInterrupt))  # in the middle of epoch 2
    heard = StopAfter(-1)
    _, weights = fit(tmp_path / "stopped", heard, resume=True)
    assert "going on with epoch 2, batch 1 of 9" in heard.said
    assert_same(weights, expected)


def test_resume_after_kill_9(tmp_path: Path):
    _, expected = fit(tmp_path / "undisturbed", epochs=6, patience=6)
    code = (
        "import sys, time; from pathlib import Path; from analyzers import training; "
        "from analyzers.progress import Progress; from tests.analyzers import test_training as t; "
        "training.SAVE_EVERY = 0.0; slow = Progress(); slow.advanced = lambda *tick: time.sleep(0.05); "
        "t.fit(Path(sys.argv[1]), slow, epochs=6, patience=6)"
    )
    folder = tmp_path / "killed"
    folder.mkdir()
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=root) as process:
        while process.poll() is None and not (folder / training.BEST).exists():
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed"
    heard = StopAfter(-1)
    _, weights = fit(folder, heard, resume=True, epochs=6, patience=6)
    assert any(line.startswith("going on with epoch") for line in heard.said)
    assert_same(weights, expected)


def test_resume_of_a_finished_run_and_of_none(tmp_path: Path):
    first, weights = fit(tmp_path, resume=True)  # nothing there: from the beginning
    again, same = fit(tmp_path, StopAfter(1, AssertionError), resume=True)
    assert again == first
    assert_same(same, weights)
    training.discard_state(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tensorboard", "tiny.yaml"]


def test_without_resume_an_old_state_is_not_used(tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, StopAfter(14, KeyboardInterrupt))
    result, _ = fit(tmp_path)
    assert len(result.epochs) == 3


def test_resume_with_other_settings(tmp_path: Path):
    fit(tmp_path)
    with pytest.raises(UsageError, match="another command or other data"):
        fit(tmp_path, resume=True, learning_rate=1e-3)


def test_resume_from_a_damaged_state(tmp_path: Path):
    fit(tmp_path)
    state = tmp_path / training.STATE
    content = state.read_bytes()
    state.write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedRecord, match=r"state\.pt is damaged"):
        fit(tmp_path, resume=True)
    state.write_bytes(content)
    (tmp_path / training.BEST).unlink()
    with pytest.raises(DamagedRecord, match=r"best\.safetensors is gone"):
        fit(tmp_path, resume=True)


def test_nan_names_the_batch(tmp_path: Path):
    model, tokenizer, splits = tiny(tmp_path)

    class Broken(Classification):
        def losses(self, model, batch):
            losses = super().losses(model, batch)
            return losses * torch.where(batch.indices == 17, float("nan"), 1.0)

    with pytest.raises(
        NotFinite, match=r"loss is nan in batch \d of epoch 1 \(examples .*\).*learning-rate below 0.01"
    ):
        training.train(model, Broken(), tokenizer, splits, request(), tmp_path, Progress())
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


@contextmanager
def files_of_at_most(size: int):
    """Writing beyond it fails in every library, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [40_000, 80_000])  # too small for the weights; for the state only
def test_disk_full(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(training, "SAVE_EVERY", 0.0)
        with pytest.raises(KeyboardInterrupt):
            fit(tmp_path, StopAfter(7, KeyboardInterrupt))
    before = (tmp_path / training.STATE).read_bytes()
    with files_of_at_most(size), pytest.raises(StorageError, match=r"cannot write to .*--resume"):
        fit(tmp_path, resume=True)
    assert (tmp_path / training.STATE).read_bytes() == before
    assert (tmp_path / training.BEST).exists() == (size == 80_000)
    assert not [path.name for path in tmp_path.iterdir() if "partial" in path.name or "tmp" in path.name]
    _, expected = fit(tmp_path / "undisturbed")
    _, weights = fit(tmp_path, resume=True)
    assert_same(weights, expected)


def test_a_model_without_blocks(tmp_path: Path):
    model, tokenizer, splits = tiny(tmp_path)
    model.bert.encoder.layer = model.bert.encoder.layer[:0]
    with pytest.raises(NoBlocks):
        training.train(model, Classification(), tokenizer, splits, request(), tmp_path, Progress())


def test_a_million_characters(tmp_path: Path):
    model, tokenizer, splits = tiny(tmp_path)
    long = Example("good " * 200_000, 1, "long")
    splits = Splits((*splits.train, long), (*splits.select, long), splits.test, splits.labels, splits.fingerprints)
    result = training.train(model, Classification(), tokenizer, splits, request(epochs=1), tmp_path, Progress())
    assert result.epochs[0].train_loss > 0


def test_tensorboard_has_every_step_once_after_a_resume(tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, StopAfter(14, KeyboardInterrupt))
    fit(tmp_path, resume=True)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 28))
    assert [event.step for event in events.Scalars("select/accuracy")] == [9, 18, 27]
    rates = [event.value for event in events.Scalars("train/learning_rate")]
    assert max(rates) == pytest.approx(1e-2, rel=0.02)
    assert rates[0] < 5e-3 > rates[-1]


def test_biases_and_norms_are_not_decayed(tmp_path: Path):
    model, _, _ = tiny(tmp_path)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, free = training._parameter_groups(model)
    assert free["weight_decay"] == 0
    assert decayed["weight_decay"] > 0
    assert all(names[id(p)].endswith("weight") and "LayerNorm" not in names[id(p)] for p in decayed["params"])
    assert all(names[id(p)].endswith("bias") or "LayerNorm" in names[id(p)] for p in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_order_has_every_row_once_and_pads_little():
    lengths = [(n * 37) % 50 + 1 for n in range(1003)]
    one, two = (batch_order(lengths, request(), epoch) for epoch in (1, 2))
    assert sorted(row for batch in one for row in batch) == list(range(1003))
    assert len(one) == -(-1003 // 16)
    assert one != two
    assert one == batch_order(lengths, request(), 1)
    padded = sum(max(lengths[row] for row in batch) * len(batch) for batch in one)
    assert padded < 1.1 * sum(lengths)
    assert [max(lengths[r] for r in batch) for batch in one] != sorted(max(lengths[r] for r in batch) for batch in one)


def test_one_step_in_all(tmp_path: Path):
    result, _ = fit(tmp_path, epochs=1, batch_size=1000)
    assert len(result.epochs) == 1


def test_the_schedule_is_that_of_one_cycle():
    for steps in (4, 15, 300):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        rise = max(0.1, 1.5 / steps)
        oracle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, steps, pct_start=rise, cycle_momentum=False)
        for step in range(steps):
            assert one_cycle(step / (steps - 1), steps) == pytest.approx(oracle.get_last_lr()[0], rel=1e-6)
            optimizer.step()
            if step < steps - 1:
                oracle.step()


def test_minutes_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clock = iter(range(10_000))  # each look at the clock is a second later
    monkeypatch.setattr("analyzers.training.time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    tmp_path.mkdir(exist_ok=True)
    model, tokenizer, splits = tiny(tmp_path)
    settings = request(epochs=1000, patience=1000)
    given = (model, Classification(), tokenizer, splits, settings, tmp_path, Progress())
    result = training.train(*given, minutes=1, spent=20.0)
    seconds = sum(epoch.seconds for epoch in result.epochs)
    assert 50 <= seconds <= 62, "20 were gone, and a last look at select is within the minute"
    assert len(result.epochs) > 1
    assert result.epochs[-1].seconds < result.epochs[-2].seconds, "the last one ended before its time"
    again = training.train(*given, minutes=1, spent=20.0, resume=True)
    assert again == result, "the time is up when it is taken up again"


def test_frozen_weights_are_neither_fitted_nor_saved(tmp_path: Path):
    model, tokenizer, splits = tiny(tmp_path)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("classifier" in name)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training.train(model, Classification(), tokenizer, splits, request(epochs=1), tmp_path, Progress())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"} == set(load_file(tmp_path / training.BEST))
