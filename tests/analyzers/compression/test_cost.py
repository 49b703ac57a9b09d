"""Saved models measured in processes of their own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from analyzers.compression import cost
from analyzers.errors import VerificationFailed
from analyzers.progress import Progress
from tests import tiny

BATCHES = {
    "two": {"input_ids": torch.ones(2, 6, dtype=torch.long), "attention_mask": torch.ones(2, 6, dtype=torch.long)}
}


def test_in_a_fresh_process(tmp_path: Path):
    tiny.llama().save_pretrained(tmp_path / "small")
    [found] = cost.costs({"m": tmp_path / "small"}, "causal", BATCHES, 6, "cpu", Progress()).values()
    assert found.seconds["two"].shape == (6,)
    assert (found.seconds["two"] > 0).all()
    assert 10_000 < found.peak < 500e6, "the weights and some buffers, not the libraries"
    assert found.disk == (tmp_path / "small" / "model.safetensors").stat().st_size


def test_what_cannot_be_opened_in_a_fresh_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho Traceback >&2\necho OSError: no weights >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(
        VerificationFailed, match="cannot be run in a new process: OSError: no weights; it was not kept"
    ):
        cost.costs({"m": tmp_path / "small"}, "causal", BATCHES, 1, "cpu", Progress())


class Counted:
    """Tells when it was asked, and takes its place in that order as its seconds."""

    def __init__(self, name: str, asked: list[str]) -> None:
        self.name, self.asked = name, asked

    def seconds(self, batch: str) -> float:
        self.asked.append(f"{self.name}{batch}")
        return float(len(self.asked))

    def peak(self) -> int:
        return 7


def test_models_take_turns_and_the_first_rounds_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    closed: list[str] = []

    @contextmanager
    def opened(path: Path, *words: object) -> Iterator[Counted]:
        yield Counted(path.name, asked)
        closed.append(path.name)

    monkeypatch.setattr(cost, "in_fresh_process", opened)
    folders = {name: tmp_path / name for name in "ab"}
    batches = {"1": BATCHES["two"], "2": BATCHES["two"]}
    found = cost.costs(folders, "causal", batches, 3, "cpu", Progress())
    assert asked == ["a1", "b1", "a2", "b2"] * (cost.WARM + 3)
    assert found["a"].seconds["1"].tolist() == [9, 13, 17]
    assert found["b"].seconds["2"].tolist() == [12, 16, 20]
    assert sorted(closed) == ["a", "b"]
    monkeypatch.setattr(cost, "PATIENCE", -1)
    assert len(cost.costs(folders, "causal", batches, 40, "cpu", Progress())["a"].seconds["1"]) == cost.ENOUGH


def test_the_memory_is_that_of_the_model(tmp_path: Path):
    import safetensors.torch

    config = tiny.bert().config
    config.intermediate_size = (
        100_000  # 6.8 MB a layer; what no pass reads, such as rows of an embedding, takes nothing
    )
    type(tiny.bert())(config).save_pretrained(tmp_path / "big")
    safetensors.torch.save_file({f"two/{n}": t for n, t in BATCHES["two"].items()}, tmp_path / "inputs.safetensors")
    opened = cost.Here(str(tmp_path / "big"), "classification", str(tmp_path / "inputs.safetensors"), "cpu")
    assert opened.seconds("two") > 0
    if sys.platform == "linux":
        assert opened.peak() > 18e6
