"""The curve of a training that goes on is what was written so far."""

from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from tools.figures import live_curve


def test_there_is_none_before_the_first_batch(tmp_path: Path) -> None:
    assert live_curve(tmp_path) is None
    (tmp_path / "tensorboard").mkdir()
    assert live_curve(tmp_path) is None


def test_losses_of_batches_and_epochs(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "tensorboard") as board:
        for step in range(1, 41):
            board.add_scalar("train/loss", 1.0 if step % 2 else 3.0, step)
            board.add_scalar("train/learning_rate", 0.1, step)
        board.add_scalar("select/accuracy", 0.8, 20)
        board.add_scalar("select/loss", 0.5, 20)
        board.flush()
        found = live_curve(tmp_path)  # while the file is still open
    assert found
    figure, table = found
    train, select, metric = figure.data
    assert train.name == "train split, mean of 4 batches"
    assert list(train.x) == list(range(1, 41))
    assert list(train.y[:4]) == pytest.approx([1, 2, 5 / 3, 2])  # means of as many as there are
    assert list(train.y[4:]) == pytest.approx([2.0] * 36)
    assert (list(select.x), list(select.y)) == ([20], [0.5])
    assert list(metric.y) == pytest.approx([80.0])
    assert table.rows == [["20", "0.500", "80.0 %", ""], ["40", "", "", "2.00"]]


def test_a_long_training_is_drawn_with_few_points(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path / "tensorboard") as board:
        for step in range(1, 2001):
            board.add_scalar("train/loss", 1.0, step)
    found = live_curve(tmp_path)
    assert found
    assert 400 <= len(found[0].data[0].x) < 800
    assert found[1].rows == [["2000", "", "", "1.00"]]
