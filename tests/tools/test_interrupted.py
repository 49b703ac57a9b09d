"""Ctrl-C, a cancelled job, a full disk: nothing finished is lost, and nothing half-written is taken for whole."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyzers import errors, training
from analyzers.compression import export, verify
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Request, TrainRequest
from tests.tools.conftest import Chain, copied, left_in, opened_here, refused, run, workspace_in


class Stop(Progress):
    """Stops at a tick of a step, as Ctrl-C or as a cancelled job does; writes down which steps there were."""

    def __init__(self, step: str = "", tick: int = 1, cancelling: bool = False) -> None:
        super().__init__()
        self.step, self.tick, self.cancelling = step, tick, cancelling
        self.steps: list[str] = []

    def advanced(self, step: str, done: int, total: int) -> None:
        self.steps.append(step)
        if self.step and step.startswith(self.step) and done == self.tick:
            if not self.cancelling:
                raise KeyboardInterrupt
            self.cancel()


def requests(chain: Chain) -> dict[str, Request]:
    data = chain.data
    return {
        "train": TrainRequest(model=chain.model, data=data, epochs=2, max_tokens=32),
        "analyze": AnalyzeRequest(model=chain["train"].id, data=data, methods=("ablation",), samples=16),
        "plan": PlanRequest(analysis=chain["analyze"].id, ratio=2),
        "compress": CompressRequest(plan=chain["plan"].id, epochs=1),
        "evaluate": EvaluateRequest(model=chain["train"].id, data=data),
    }


@pytest.mark.parametrize("cancelling", [False, True], ids=["Ctrl-C", "cancelled job"])
@pytest.mark.parametrize(
    ("verb", "step"),
    [
        ("train", "training"),
        ("train", "evaluating"),
        ("analyze", "deletion curves"),
        ("plan", "hidden states"),
        ("plan", "all 15 sets of layers"),
        ("plan", "timing"),
        ("compress", "evaluating"),
        ("compress", "training"),
        ("compress", "timing"),
        ("evaluate", "evaluating"),
        ("evaluate", "timing"),
    ],
)
def test_stopped(verb: str, step: str, cancelling: bool, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    workspace = copied(chain, tmp_path, "train", "analyze", "plan")
    before = {each.id: each for each in workspace.runs.list()}
    wanted, stop = requests(chain)[verb], Stop(step, cancelling=cancelling)
    with pytest.raises(errors.Cancelled if cancelling else KeyboardInterrupt):
        run(wanted, workspace, stop)
    after = {each.id: each for each in workspace.runs.list()}
    [new] = after.keys() - before.keys()
    assert {name: each for name, each in after.items() if name != new} == before, "what was finished is as it was"
    stopped = after[new]
    assert (stopped.status, stopped.error, stopped.result) == ("cancelled", "stopped by the user", None)
    assert stopped.artifacts == []
    assert stopped.measurements == []
    assert stopped.command == wanted.command()
    there = left_in(workspace.runs.folder(new))
    assert not [path for path in there if "saving" in path or "partial" in path]
    if verb == "compress" and step == "training" and cancelling:
        assert training.STATE in there, "the next call goes on from it"
    if verb in ("train", "compress"):
        refused(
            EvaluateRequest(model=new, data=chain.data), workspace, errors.ModelError, new, "cancelled", "run it again"
        )
    if verb in ("train", "compress"):
        resumed = run(wanted, workspace, resume=True)
        assert (resumed.id, resumed.status) == (new, "done")
        assert not left_in(workspace.runs.folder(new)) & {training.STATE, training.BEST}
    elif not cancelling:  # once is enough: the same request begins anew
        assert run(wanted, workspace).status == "done"


def test_stopped_while_the_model_is_saved(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace, wanted = workspace_in(tmp_path), requests(chain)["train"]
    with monkeypatch.context() as patch:
        patch.setattr(export, "_replace", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(wanted, workspace)
    [stopped] = workspace.runs.list()
    assert stopped.status == "cancelled"
    assert not (workspace.runs.folder(stopped.id) / "model").exists()
    stop = Stop()
    resumed = run(wanted, workspace, stop, resume=True)
    assert (resumed.id, resumed.status) == (stopped.id, "done")
    assert "training" not in stop.steps, "all epochs were done before it was stopped"


# --- a full disk ------------------------------------------------------------------------------------------------------


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise error

    return fail


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("target", "next_step"),
    [
        ("analyzers.training.save_tensors", "--resume"),
        ("analyzers.compression.export._write", "finished runs are kept"),
        ("transformers.PreTrainedTokenizerFast.save_pretrained", "finished runs are kept"),
    ],
)
def test_disk_full_in_training(
    target: str, next_step: str, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    workspace, wanted = workspace_in(tmp_path), requests(chain)["train"]
    with monkeypatch.context() as patch:
        patch.setattr(target, raising(full()))
        message = refused(wanted, workspace, errors.StorageError, "make room", next_step)
    [failed] = workspace.runs.list()
    assert (failed.status, failed.error, failed.artifacts) == ("failed", message, [])
    assert not [
        path for path in left_in(workspace.runs.folder(failed.id)) if re.search(r"^model/|saving|partial", path)
    ]
    resumed = run(wanted, workspace, resume=True)
    assert (resumed.id, resumed.status, resumed.error) == (failed.id, "done", None)


@pytest.mark.parametrize("target", ["analyzers.compression.export._write", "analyzers.training.save_tensors"])
def test_disk_full_in_compression(target: str, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    workspace, wanted = copied(chain, tmp_path, "train", "analyze", "plan"), requests(chain)["compress"]
    with monkeypatch.context() as patch:
        patch.setattr(target, raising(full()))
        message = refused(wanted, workspace, errors.StorageError, "make room", "--home")
    assert "--resume" not in message, "compress has no such option"
    [failed] = workspace.runs.list(status="failed")
    assert not {path for path in left_in(workspace.runs.folder(failed.id)) if "saving" in path}
    refused(EvaluateRequest(model=failed.id, data=chain.data), workspace, errors.ModelError, failed.id, "is failed")


def test_healing_that_diverges(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    monkeypatch.setattr("analyzers.compression.healing.distill.LEARNING_RATE", 1e30)
    workspace = copied(chain, tmp_path, "train", "analyze", "plan")
    wanted = CompressRequest(plan=chain["plan"].id, epochs=1)
    message = refused(
        wanted, workspace, errors.NotFinite, "healing failed", f"compress {chain['plan'].id}", "--heal none"
    )
    assert "--learning-rate" not in message


@pytest.mark.parametrize("verb", ["train", "analyze", "plan", "compress", "evaluate"])
def test_disk_full_from_the_start(verb: str, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace = copied(chain, tmp_path, "train", "analyze", "plan")
    before = workspace.runs.list()
    monkeypatch.setattr(Path, "write_bytes", raising(full()))  # how records are written
    refused(requests(chain)[verb], workspace, errors.StorageError, "record.json", "No space left", "free some space")
    monkeypatch.undo()
    assert workspace.runs.list() == before


@pytest.mark.parametrize("verb", ["analyze", "plan", "evaluate"])
def test_disk_full_at_the_end(verb: str, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    workspace = copied(chain, tmp_path, "train", "analyze", "plan")
    before = {each.id for each in workspace.runs.list()}
    write = Path.write_bytes

    def once(path: Path, content: bytes) -> int:
        monkeypatch.setattr(Path, "write_bytes", raising(full()))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", once)
    refused(requests(chain)[verb], workspace, errors.StorageError, "record.json", "No space left")
    monkeypatch.undo()
    [new] = {each.id for each in workspace.runs.list()} - before
    assert workspace.runs.get(new).status == "running", "it never claims to be done"
    assert left_in(workspace.runs.folder(new)) == {"record.json"}
