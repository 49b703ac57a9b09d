"""What jobs do when all goes well: they run alone, in their order, and are heard."""

import subprocess
import sys
from pathlib import Path

import pytest

from analyzers.errors import DataError, UsageError
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, TrainRequest
from tests.fake_jobs import noted, until
from tests.tools.conftest import workspace_in
from tools.jobs import JobStore, JobWorkflows, cancel, follow, listed, processes, resume, show, submit


class Heard(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def started(self, step: str, total: int) -> None:
        self.lines.append(f"started {step} {total}")

    def advanced(self, step: str, done: int, total: int) -> None:
        self.lines.append(f"{step} {done} of {total}")

    def finished(self, step: str) -> None:
        self.lines.append(f"finished {step}")

    def say(self, text: str) -> None:
        self.lines.append(text)


def training(folder: Path, words: str, seed: int = 0) -> TrainRequest:
    return TrainRequest(model="fake", data=f"{words} ledger={folder / 'ledger'}", seed=seed)


def test_a_job_is_done_and_heard(job_store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    workspace = workspace_in(tmp_path)
    job, heard = submit(training(tmp_path, "steps=3 pause=0.6"), workspace), Heard()
    assert job.status == "queued"
    done = follow(job.id, workspace, heard)
    assert (done.status, done.error, done.progress.step) == ("done", None, "counting")
    lines = [line for line in heard.lines if "waits for a free worker" not in line]  # on a machine that is busy
    assert lines[:2] == [f"threads 1 in {tmp_path}", "started counting 3"]
    assert {"counting 1 of 3", "counting 2 of 3"} & set(heard.lines)
    assert heard.lines[-1] == "finished counting"
    run = workspace.runs.get(done.run)
    assert (run.status, run.command) == ("done", job.command)
    assert f"threads 1 in {tmp_path}" in done.log.read_text()
    final = until(lambda: (now := show(job.id, workspace)).peak_memory_mb and now)
    assert 10 < final.peak_memory_mb < 500, "of the worker, without the libraries of this process"
    with pytest.raises(UsageError, match=f"is done; there is nothing to resume: see layerwise runs show {run.id}"):
        resume(job.id, workspace)
    with pytest.raises(UsageError, match="is done already; there is nothing to cancel"):
        cancel(job.id, workspace)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_queue_keeps_its_order_and_its_number(workers: int, job_store: JobStore, tmp_path: Path):
    workspace = workspace_in(tmp_path).model_copy(update={"workers": workers})
    words = ["steps=1 pause=0.05", f"steps=1 meet={workers}", f"steps=1 meet={workers}"]
    jobs = [submit(training(tmp_path, each, seed), workspace) for seed, each in enumerate(words)]
    assert [job.id for job in listed(workspace)] == [job.id for job in reversed(jobs)]
    for job in jobs:
        assert follow(job.id, workspace, Progress()).status == "done"
    begins, ends = noted(tmp_path / "ledger", "begin"), noted(tmp_path / "ledger", "end")
    if workers == 1:
        assert [seed for seed, _ in begins] == ["0", "1", "2"]
    events = sorted([(float(when), 1) for _, when in begins] + [(float(when), -1) for _, when in ends])
    assert max(sum(step for _, step in events[: n + 1]) for n in range(len(events))) <= workers
    assert (len(begins), len(ends)) == (3, 3), "each of them once"


SUBMITS = """
import sys
from pathlib import Path
from tests.fake_jobs import COMMAND
from analyzers.records import TrainRequest
from tools.jobs import processes, submit
from tools.workspace import Workspace
processes.COMMAND = COMMAND
home = Path(sys.argv[1])
workspace = Workspace(home=home / "home", cache=home / "cache")
print("ready", flush=True)
sys.stdin.readline()
request = TrainRequest(model="fake", data=f"steps=1 pause=0.05 ledger={home / 'ledger'}", seed=int(sys.argv[2]))
print(submit(request, workspace).id, flush=True)
sys.stdin.readline()
"""


def submitter(folder: Path, seed: int) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-c", SUBMITS, str(folder), str(seed)], stdin=pipe, stdout=pipe, text=True, cwd=processes.ROOT
    )


def test_two_processes_submit_at_once_and_are_killed(job_store: JobStore, tmp_path: Path):
    workspace = workspace_in(tmp_path)
    both = [submitter(tmp_path, 0), submitter(tmp_path, 1)]
    assert [process.stdout.readline() for process in both] == ["ready\n", "ready\n"]
    for process in both:
        print(file=process.stdin, flush=True)
    ids = [process.stdout.readline().strip() for process in both]
    for process in both:
        process.kill()
        process.communicate()
    assert {job.id for job in job_store.list()} == set(ids)
    assert all(follow(job_id, workspace, Progress()).status == "done" for job_id in ids), (
        "nobody needs who started them"
    )
    begins, ends = noted(tmp_path / "ledger", "begin"), noted(tmp_path / "ledger", "end")
    assert sorted(seed for seed, _ in begins) == ["0", "1"]
    assert all(float(end) <= float(begin) for (_, end), (_, begin) in zip(ends, begins[1:], strict=False))


def test_workflows_in_jobs_are_called_as_those_here(job_store: JobStore, tmp_path: Path):
    workspace = workspace_in(tmp_path)
    workflows, heard = JobWorkflows(workspace), Heard()
    run = workflows.train(training(tmp_path, "steps=1"), workspace, heard, resume=True)
    assert (run.kind, run.status) == ("train", "done")
    analysis = AnalyzeRequest(model="fake", data=f"steps=1 error=DataError ledger={tmp_path / 'ledger'}")
    with pytest.raises(DataError, match=r"^it cannot be done$"):
        workflows.analyze(analysis, workspace, heard)
    [failed] = job_store.list("failed")
    assert (failed.error_type, failed.run) == ("DataError", workspace.runs.list(kind="analysis")[0].id)
    assert "error: it cannot be done" in failed.log.read_text()


def test_a_job_whose_caller_died_is_followed_by_the_next_and_not_started_again(job_store: JobStore, tmp_path: Path):
    workspace, request = workspace_in(tmp_path), training(tmp_path, "steps=20 pause=0.1")
    job = submit(request, workspace)
    workflows = JobWorkflows(workspace)
    workflows.take_up(job.id)
    run = workflows.train(request, workspace, Progress())
    assert [each.id for each in job_store.list()] == [job.id]
    assert job_store.get(job.id).run == run.id
    workflows.take_up(job.id)  # over by now: the request is a new one
    assert workflows.train(request, workspace, Progress()).id != run.id


def test_a_folder_that_is_gone_is_said(job_store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (gone := tmp_path / "gone").mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(gone)
        patch.setattr(processes, "start", lambda home: None)
        job = submit(training(tmp_path, "steps=1"), workspace_in(tmp_path))
    gone.rmdir()
    failed = follow(job.id, workspace_in(tmp_path), Progress())
    assert (failed.status, failed.run) == ("failed", None)
    assert failed.error == f"{gone}: No such file or directory; check the path and who may read and write it"
