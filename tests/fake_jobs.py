"""Jobs with real processes and fake workflows: `python -m tests.fake_jobs HOME` stands for `python -m tools.jobs.worker HOME`.

Nothing that takes long is loaded where it is not needed: tests start dozens of these. The data of a request say what its workflow does: `steps=5 pause=0.1 ledger=FILE` keeps five pieces and writes each into the
ledger once it is kept, through the real recording and the real journal.
"""

import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import tools
from analyzers import errors
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, Run, TrainRequest
from knowledge.runs import RunStore
from tools.jobs import JobStore, memory, processes
from tools.recording import recording, to_resume, unfinished
from tools.workspace import Workspace

GRANDCHILD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def train(request: TrainRequest, workspace: Workspace, progress: Progress, *, resume: bool = False) -> Run:
    if "=" not in request.data:
        return _sample("train", request, workspace, progress)
    again = to_resume("train", request, workspace) if resume else None
    return _pieces("train", request, workspace, progress, again)


def analyze(request: AnalyzeRequest, workspace: Workspace, progress: Progress) -> Run:
    if "=" not in request.data:
        return _sample("analyze", request, workspace, progress)
    again = unfinished("analysis", request, workspace)
    return _pieces("analysis", request, workspace, progress, again)


def _pieces(kind: Any, request: Any, workspace: Workspace, progress: Progress, again: Run | None) -> Run:
    import numpy as np

    from analyzers.journal import Journal
    from tests.sample_runs import analysis_run, train_run

    result = (train_run() if kind == "train" else analysis_run()).result
    options = dict(word.split("=", 1) for word in request.data.split())
    told: dict[str, Any] = {"model": request.model, "data": request.data, "device": "cpu", "again": again}
    with recording(workspace, kind, request, splits={}, parents=[], settings={}, **told) as active:
        ledger, journal = Path(options["ledger"]), Journal(active.folder / "work")
        note(ledger, f"begin {request.seed} {time.monotonic()}")
        progress.say(f"threads {workspace.threads} in {Path.cwd()}")
        if "meet" in options:  # so many jobs
            until(lambda: len(noted(ledger, "begin")) >= int(options["meet"]))
        if "child" in options:
            sessions = {"start_new_session": True} if options["child"] == "far" else {}
            subprocess.Popen([sys.executable, "-c", GRANDCHILD], stdout=ledger.open("a"), **sessions)
        if "deaf" in options:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})
        steps = int(options["steps"])
        for piece in progress.track(range(steps), steps, "counting"):
            if journal.find(f"piece-{piece}") is None:
                time.sleep(float(options.get("pause", 0)))
                journal.keep(f"piece-{piece}", value=np.array(piece))
                note(ledger, f"kept {active.run.id} {piece}")
        if "short" in options:  # memory: the system kills the process, and counts it
            memory.KILLS.write_text("pgfault 3\noom_kill 8\n")
        if "kill" in options:
            os.kill(os.getpid(), int(options["kill"]))
        if "error" in options:
            raise getattr(errors, options["error"])("it cannot be done")
        total = sum(int(piece["value"]) for name in journal.names("piece-") if (piece := journal.find(name)))
        (active.folder / "total.txt").write_text(str(total))
        active.result = result
        note(ledger, f"end {request.seed} {time.monotonic()}")
    return active.finished


def _sample(name: str, *words: Any) -> Run:
    """A run of `tests.sample_runs`, at once."""
    from tests.fake_workflows import FakeWorkflows

    return getattr(FakeWorkflows(), name)(*words)


def note(ledger: Path, line: str) -> None:
    with ledger.open("a") as file:
        file.write(f"{line}\n")


def noted(ledger: Path, word: str) -> list[list[str]]:
    """The lines of the ledger that begin with the word, in words, without it."""
    lines = ledger.read_text().splitlines() if ledger.exists() else []
    return [line.split()[1:] for line in lines if line.startswith(word)]


def until(true: Any, seconds: float = 90.0) -> Any:
    """What `true` gives as soon as it is something."""
    limit = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < limit, "it never came"
        time.sleep(0.01)
    return found


def in_worker(store: JobStore, job_id: str) -> Any:
    """The job, once its worker has said that it is there."""
    return until(lambda: (job := store.get(job_id)) and (job.worker or job.over) and job)


COMMAND = [sys.executable, "-P", "-m", "tests.fake_jobs"]
NO_INDEX = types.SimpleNamespace(write=lambda _: None, remove=lambda _: None)

if __name__ == "__main__":
    from tools.jobs import worker

    fake = types.ModuleType("tools.workflows")
    fake.train, fake.analyze = train, analyze
    fake.__getattr__ = lambda name: lambda *words, **extra: _sample(name, *words)
    sys.modules["tools.workflows"] = tools.workflows = fake
    processes.COMMAND = COMMAND
    RunStore._index = NO_INDEX
    if "FAKE_VMSTAT" in os.environ:
        memory.KILLS = Path(os.environ["FAKE_VMSTAT"])
    worker.main(Path(sys.argv[1]))
