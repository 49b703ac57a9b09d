"""kill -9 of each process of a job, and cancelling: nothing finished is lost, nothing dead is shown as alive."""

import os
import random
import signal
import time
from pathlib import Path

import psutil
import pytest

from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest
from tests.fake_jobs import in_worker, noted, until
from tests.tools.conftest import workspace_in
from tests.tools.jobs.test_running import training
from tools.jobs import Job, JobStore, cancel, follow, listed, processes, resume, show, submit
from tools.jobs.records import Process
from tools.recording import LEFT, settle_all

SLOW = "steps=400 pause=0.05"


def killed(*victims: Process | None) -> None:
    for victim in victims:
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not any(processes.alive(victim) for victim in victims))


def begun(store: JobStore, job: Job, ledger: Path) -> Job:
    """The job, once its run is recorded and a piece is kept."""
    until(lambda: noted(ledger, "kept"))
    return until(lambda: (now := store.get(job.id)).run and now)


def awake() -> float:
    """Seconds, without those in which this thread waited for a processor that others have."""
    return time.monotonic() - int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9


def test_cancel_asks_first_and_resume_goes_on(job_store: JobStore, tmp_path: Path):
    workspace, ledger = workspace_in(tmp_path), tmp_path / "ledger"
    job = submit(training(tmp_path, "steps=12 pause=0.1"), workspace)
    waiting = submit(training(tmp_path, "steps=1", 1), workspace)
    assert cancel(waiting.id, workspace).status == "cancelled"
    begun(job_store, job, ledger)
    started = awake()
    stopped = cancel(job.id, workspace)
    assert awake() - started < 2
    assert (stopped.status, stopped.error_type) == ("cancelled", "Cancelled")
    run = workspace.runs.get(stopped.run)
    assert (run.status, run.error) == ("cancelled", "stopped by the user")
    assert resume(job.id, workspace).status == "queued"
    done = follow(job.id, workspace, Progress())
    assert (done.status, done.run, done.error) == ("done", run.id, None)
    pieces = noted(ledger, "kept")
    assert sorted(int(piece) for _, piece in pieces) == list(range(12)), "each once: what was kept was taken up"
    assert job_store.get(waiting.id).started is None


@pytest.mark.parametrize("child", ["near", "far"])
def test_cancel_kills_who_does_not_hear_and_its_children(child: str, job_store: JobStore, tmp_path: Path):
    workspace, ledger = workspace_in(tmp_path), tmp_path / "ledger"
    job = submit(training(tmp_path, f"{SLOW} deaf=1 child={child}"), workspace)
    working = begun(job_store, job, ledger)
    grandchild = until(lambda: [int(line) for line in ledger.read_text().splitlines() if line.isdigit()])[0]
    started = awake()
    stopped = cancel(job.id, workspace)
    assert awake() - started < 2
    assert not processes.alive(working.worker)
    assert processes.identity(grandchild) is None, "whether it is in the group of the worker or not"
    assert stopped.status == "cancelled"
    run = workspace.runs.get(stopped.run)
    assert (run.status, run.error) == ("cancelled", "stopped by the user"), "who killed it repaired the record"


def test_a_killed_supervisor_is_not_needed(job_store: JobStore, tmp_path: Path):
    workspace = workspace_in(tmp_path)
    first = submit(training(tmp_path, "steps=6 pause=0.1"), workspace)
    second = submit(training(tmp_path, "steps=1", 1), workspace)
    killed(in_worker(job_store, first.id).supervisor)
    assert show(first.id, workspace).status == "running"
    done = until(lambda: (now := job_store.get(first.id)).over and now)
    assert done.status == "done"
    assert done.peak_memory_mb, "its worker had measured itself"
    until(lambda: job_store.get(second.id).status == "done")  # which the worker started: nobody looked


@pytest.mark.parametrize(("words", "name", "says"), [
    ("kill=9", "Killed", "it was killed from outside (signal 9): it held "),
    ("short=1 kill=9", "OutOfMemory", "the system killed it because memory ran out: it held "),
    ("kill=11", "Killed", "it was ended by signal 11 (SIGSEGV); its log says more: layerwise jobs show job-"),
])  # fmt: skip
def test_a_killed_worker_is_told_with_its_peak(
    words: str, name: str, says: str, job_store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (counts := tmp_path / "vmstat").write_text("pgfault 2\noom_kill 7\n")
    monkeypatch.setenv("FAKE_VMSTAT", str(counts))
    workspace = workspace_in(tmp_path)
    job = submit(training(tmp_path, f"steps=1 {words}"), workspace)
    failed = follow(job.id, workspace, Progress())
    assert (failed.status, failed.error_type) == ("failed", name)
    assert failed.error.startswith(says)
    assert f"layerwise jobs resume {job.id}" in failed.error
    assert 10 < failed.peak_memory_mb < 500
    run = workspace.runs.get(failed.run)
    assert (run.status, run.error) == ("failed", failed.error)


def test_both_killed_is_orphaned_at_the_next_look(job_store: JobStore, tmp_path: Path):
    workspace, ledger = workspace_in(tmp_path), tmp_path / "ledger"
    request = AnalyzeRequest(model="fake", data=f"steps=8 pause=0.1 ledger={ledger}")
    job = submit(request, workspace)
    working = begun(job_store, job, ledger)
    killed(working.supervisor, working.worker)
    assert workspace.runs.get(working.run).status == "running"
    [orphan] = listed(workspace)
    assert orphan.status == "orphaned"
    assert orphan.error.endswith(f"go on with: layerwise jobs resume {job.id}")
    run = workspace.runs.get(working.run)
    assert (run.status, run.error) == ("failed", orphan.error)
    resume(job.id, workspace)
    done = follow(job.id, workspace, Progress())
    assert (done.status, done.run) == ("done", run.id)
    assert len(noted(ledger, "kept")) == 8


def test_a_number_that_another_process_has_now_is_not_taken_for_the_job(
    job_store: JobStore, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(processes, "start", lambda home: None)
    workspace = workspace_in(tmp_path)
    job = submit(training(tmp_path, "steps=1"), workspace)
    me = processes.identity(os.getpid())
    assert processes.alive(me)
    earlier = me.model_copy(update={"began": f"{me.began}0"})
    assert job_store.claim(earlier, lambda *_: None).id == job.id
    job_store.change(job.id, ("running",), worker=earlier, cancelling=True)
    assert cancel(job.id, workspace).status == "cancelled"
    assert psutil.Process().is_running(), "and it is not killed in the place of the job"


def test_a_run_of_a_plain_command_that_was_killed_is_settled(job_store: JobStore, tmp_path: Path):
    workspace, ledger = workspace_in(tmp_path), tmp_path / "ledger"
    pid = os.fork()
    if pid == 0:
        from tests.fake_jobs import train

        try:
            train(training(tmp_path, "steps=1 kill=9"), workspace, Progress())
        finally:
            os._exit(1)
    os.waitpid(pid, 0)
    assert noted(ledger, "kept")
    [run] = workspace.runs.list()
    assert run.status == "running"
    settle_all(workspace)
    assert [(each.status, each.error) for each in workspace.runs.list()] == [("failed", LEFT)]
    assert not list((workspace.home / "locks").iterdir())


KILLS = 10


def test_nothing_is_lost_by_kills_at_random_points(
    job_store: JobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Each job is killed at random points (worker, supervisor or both) and resumed until it is done or all kills are spent."""
    dice, workspace, ledger = random.Random(20261124), workspace_in(tmp_path), tmp_path / "ledger"
    kills = number = 0
    acknowledged: list[Job] = []
    while kills < KILLS:
        request = (
            training(tmp_path, "steps=12 pause=0.02", number)
            if number % 2
            else AnalyzeRequest(model="fake", data=f"steps=12 pause=0.02 ledger={ledger}", seed=number)
        )
        job = submit(request, workspace)
        number += 1
        while not job.over or job.status != "done":
            if kills < KILLS:
                job = hit(in_worker(job_store, job.id), dice)
                kills += 1
            job = after(job.id, job_store, workspace)
        acknowledged.append(job)
    lost = [job.id for job in acknowledged if not whole(job, workspace)]
    pieces = [tuple(line) for line in noted(ledger, "kept")]
    again = len(pieces) - len(set(pieces))
    with capsys.disabled():
        print(
            f"\n{kills} kills: {len(acknowledged)} runs acknowledged, {len(lost)} lost; {len(set(pieces))} pieces kept, {again} lost"
        )
    assert (lost, again) == ([], 0)
    assert not workspace.runs.list(status="running")
    assert not list((workspace.home / "locks").iterdir())


def hit(job: Job, dice: random.Random) -> Job:
    time.sleep(dice.uniform(0, 0.5))
    for victim in dice.choice([[job.worker], [job.supervisor], [job.worker, job.supervisor]]):
        if processes.alive(victim):
            os.kill(victim.pid, signal.SIGKILL)
    return job


def after(job_id: str, store: JobStore, workspace) -> Job:
    """The job when it has come to an end; resumed unless that is "done"."""

    def settled() -> Job | None:
        before = store.get(job_id)
        dead = not processes.alive(before.worker) and not processes.alive(before.supervisor)
        job = show(job_id, workspace)
        assert not (before.status == "running" and dead and job.status == "running"), "never shown as what it is not"
        return job if job.over else None

    job = until(settled)
    assert job.status in ("done", "failed", "orphaned"), job
    if job.run:
        # A process that is being killed may hold the lock of its run a moment longer: the next look mends the record.
        expected = "done" if job.status == "done" else "failed"
        until(lambda: show(job_id, workspace) and workspace.runs.get(job.run).status == expected)
    return job if job.status == "done" else resume(job_id, workspace)


def whole(job: Job, workspace) -> bool:
    run = workspace.runs.get(job.run)
    folder = workspace.runs.folder(run.id)
    if run.status != "done" or run.result is None or (folder / "total.txt").read_text() != str(sum(range(12))):
        return False
    return {artifact.path for artifact in run.artifacts} >= {"total.txt"} and run.command == job.command
