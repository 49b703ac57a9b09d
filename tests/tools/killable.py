"""A process that can be killed at any moment of any workflow: forked from one that has loaded the libraries already."""

import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import transformers

from agent.cli import main
from analyzers.compression import cost, verify
from analyzers.journal import Journal
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Run, TrainRequest
from analyzers.requests import ExportRequest
from tests.tools.conftest import opened_here, run, timed_here, workspace_in, write_encoder, write_sentences
from tools import workflows
from tools.recording import unfinished
from tools.workspace import Workspace

transformers.logging.set_verbosity_error()

RESUMED = {
    "train": "train",
    "compress": "compression",
}  # kinds of runs that go on when told so; others do by themselves
ORDER = (  # each takes what those before it made
    "train",
    "analyze",
    "plan",
    "compress",
    "evaluate",
    "export",
    "report",
)


def write_model_and_data(folder: Path) -> tuple[str, str]:
    return str(write_encoder(folder / "encoder", layers=2)), f"csv:{write_sentences(folder / 'reviews.csv', rows=48)}"


def requests(model: str, data: str, made: dict[str, str]) -> dict[str, Callable[[], Any]]:
    """The request of each workflow, from the runs of those before it."""
    few: dict[str, Any] = {"max_tokens": 16}
    return {
        "train": lambda: TrainRequest(model=model, data=data, epochs=2, learning_rate=5e-3, **few),
        "analyze": lambda: AnalyzeRequest(
            model=made["train"], data=data, samples=16, methods=("fisher", "ablation"), **few
        ),
        "plan": lambda: PlanRequest(analysis=made["analyze"], ratio=2),
        "compress": lambda: CompressRequest(plan=made["plan"], epochs=2),
        "evaluate": lambda: EvaluateRequest(model=made["compress"], data=data, **few),
        "export": lambda: ExportRequest(model=made["compress"], format="hf"),
    }


def work(
    folder: str, model: str, data: str, made: dict[str, str], verbs: Sequence[str], said: "Connection | Nobody"
) -> None:
    """One workflow after the other; each that came to its end is acknowledged with its run."""
    workspace = workspace_in(Path(folder))
    said.send(("begun", ""))
    for verb in verbs:
        done = one(verb, workspace, requests(model, data, made), made)
        made[verb] = done.id if isinstance(done, Run) else str(done)
        said.send((verb, made[verb]))


def one(verb: str, workspace: Workspace, wanted: dict[str, Callable[[], Any]], made: dict[str, str]) -> Run | Path:
    if verb == "report":
        page = workspace.home / "reports" / "report.html"
        workflows.report([made["compress"]], page, workspace)
        return page
    request = wanted[verb]()
    resume = verb in RESUMED and unfinished(RESUMED[verb], request, workspace) is not None
    found: Run = run(request, workspace, Progress(), **({"resume": True} if resume else {}))
    return found


def command(pieces: int, words: Sequence[str], surroundings: dict[str, str]) -> None:
    """A command that is killed after it kept so many pieces of its work."""
    os.environ.update(surroundings)
    keep, left = Journal.keep, [pieces]

    def killing(self: Journal, name: str, **arrays: Any) -> None:
        keep(self, name, **arrays)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.keep = killing  # type: ignore[method-assign]
    main([*words])


class Nobody:
    def send(self, said: object) -> None: ...


def warm() -> None:
    """Do everything once in the process that all are forked from: what is loaded on first use is then there."""
    torch.set_num_threads(1)
    cost.in_fresh_process = timed_here
    verify.in_fresh_process = opened_here
    with tempfile.TemporaryDirectory() as folder:
        model, data = write_model_and_data(Path(folder))
        work(folder, model, data, {}, ORDER, Nobody())
