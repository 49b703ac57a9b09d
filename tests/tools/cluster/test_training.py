"""Training by Ray Train gives the model that this process gives, and leaves the same files."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from analyzers import training
from analyzers.errors import Cancelled, NotFinite
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.records import TrainResult
from analyzers.tasks.classification import Classification
from tests.analyzers.test_training import StopAfter, fit, request, tiny
from tests.tools.cluster.conftest import WORKERS, Heard
from tools.cluster.line import Telling

pytestmark = [
    pytest.mark.usefixtures("free_cluster"),
    pytest.mark.filterwarnings("default"),  # Ray Train uses what Ray Data deprecates
]


def fit_there(
    folder: Path, progress: Progress | None = None, resume: bool = False, **changes: Any
) -> tuple[TrainResult, Any]:
    from tools.cluster.training import train

    folder.mkdir(exist_ok=True)
    model, tokenizer, splits = tiny(folder)
    loaded = Loaded(model, tokenizer, Classification())
    result = train(loaded, splits, request(**changes), folder, progress or Progress(), WORKERS, 1, "ray", resume=resume)
    return result, model.state_dict()


def assert_close(here: TrainResult, there: TrainResult) -> None:
    assert (there.best_epoch, there.stopped_early, len(there.epochs)) == (
        here.best_epoch,
        here.stopped_early,
        len(here.epochs),
    )
    for one, other in zip(here.epochs, there.epochs, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-4)
        assert other.select.loss.value == pytest.approx(one.select.loss.value, rel=1e-3)
        assert other.select.metric.value == pytest.approx(one.select.metric.value)


def test_it_trains_the_same_model_with_its_dropout(tmp_path: Path) -> None:
    """Begun here and gone on with there. Batches of 15 do not divide by two, and the last one has fewer."""
    heard = Heard()
    with pytest.raises(Cancelled):
        fit(tmp_path / "there", StopAfter(3), epochs=2, batch_size=15)
    there, weights = fit_there(tmp_path / "there", heard, resume=True, epochs=2, batch_size=15)
    here, _ = fit(tmp_path / "here", epochs=2, batch_size=15)
    assert_close(here, there)
    best = load_file(tmp_path / "there" / training.BEST)
    assert all(torch.equal(best[name], weights[name]) for name in best)
    assert (tmp_path / "there" / training.STATE).is_file()
    assert list((tmp_path / "there" / "tensorboard").iterdir())
    assert not list(tmp_path.glob(".ray-*"))
    assert any(text.startswith("epoch 2 of 2") for text in heard.said)
    steps = 2 * -(-len(tiny(tmp_path)[2].train) // 15)
    assert ("started", "training", steps - 3) in heard.steps
    assert heard.said[0].startswith("going on with epoch 1, batch 4 of")


class Endless:
    """Stands for a trainer that has just begun."""

    def fit(self) -> None:
        time.sleep(30)


def test_who_stops_waits_until_the_state_is_saved_and_not_for_the_others(cluster: Any) -> None:
    from tools.cluster.line import Answer, Line
    from tools.cluster.training import _followed

    line = cluster.remote(Line).options(num_cpus=0).remote()
    cluster.get(line.stopped.remote())  # it has started
    progress = Progress()
    threading.Timer(0.3, progress.cancel).start()

    def first_process() -> None:
        told = Telling(line, 0, asks=True)
        try:
            while True:
                time.sleep(0.02)
                told.check()
        except Cancelled as stopped:
            time.sleep(0.3)
            saved.append(time.monotonic())
            line.end.remote(Answer(problem=stopped))

    saved: list[float] = []
    first = threading.Thread(target=first_process)
    first.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        _followed(Endless(), line, progress, "ray")
    assert saved
    assert saved[0] <= time.monotonic() < began + 2
    first.join()


def test_an_error_of_a_process_does_not_wait_for_the_others(cluster: Any) -> None:
    from tools.cluster.line import Answer, Line
    from tools.cluster.training import _followed

    line = cluster.remote(Line).options(num_cpus=0).remote()
    line.end.remote(Answer(problem=NotFinite("the loss is nan")))
    with pytest.raises(NotFinite, match="the loss is nan"):
        _followed(Endless(), line, Progress(), "ray")
