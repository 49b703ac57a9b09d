"""The table of jobs where the disk, the clock, the memory or another version is against it. No process is started."""

import json
import os
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from analyzers.errors import DamagedRecord, NotEnoughMemory, StorageError, UnknownJob
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, Measurement, Request, TrainRequest
from tests.sample_runs import analysis_run, story
from tests.tools.conftest import workspace_in
from tools.jobs import JobStore, control, listed, memory, processes, resume, show, submit
from tools.jobs.progress import JobProgress
from tools.jobs.records import Job
from tools.workspace import Workspace

ME = processes.identity(os.getpid())
REQUEST = TrainRequest(model="fake", data="fake")


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Homes for which a process would have been started."""
    homes: list[Path] = []
    monkeypatch.setattr(processes, "start", homes.append)
    return homes


@pytest.fixture
def workspace(job_store: JobStore, tmp_path: Path) -> Workspace:
    return workspace_in(tmp_path)


def claimed(store: JobStore) -> Job | None:
    return store.claim(ME, memory.refusal)


# --- queue and clock --------------------------------------------------------------------------------------------------


def test_the_queue_goes_by_the_order_and_not_by_the_clock(
    workspace: Workspace, job_store: JobStore, monkeypatch: pytest.MonkeyPatch
):
    times = [datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in (12, 9, 7)]
    ids = []
    for time in times:
        monkeypatch.setattr(control, "now", lambda time=time: time)
        ids.append(submit(REQUEST, workspace).id)
    assert [job.id for job in listed(workspace)] == ids[::-1]
    first = claimed(job_store)
    assert (first.id, first.status, first.supervisor, first.attempt) == (ids[0], "running", ME, 1)
    assert claimed(job_store) is None, "one worker"
    job_store.change(first.id, ("running",), status="failed", ended=times[2])
    resume(first.id, workspace)
    assert [claimed_and_ended(job_store) for _ in range(3)] == [ids[1], ids[2], ids[0]], "who is resumed waits again"


def claimed_and_ended(store: JobStore) -> str:
    job = claimed(store)
    store.change(job.id, ("running",), status="done")
    return job.id


def test_what_an_earlier_attempt_still_says_is_not_heard(workspace: Workspace, job_store: JobStore):
    submit(REQUEST, workspace)
    first = claimed(job_store)
    assert job_store.change(first.id, ("running",), first.attempt, error="x").error == "x"
    job_store.change(first.id, ("running",), status="failed")
    resume(first.id, workspace)
    assert claimed(job_store).attempt == 2
    assert job_store.change(first.id, ("running",), first.attempt, status="done") is None
    assert job_store.get(first.id).status == "running"


def test_more_workers_share_the_cores(workspace: Workspace, job_store: JobStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    free = workspace.model_copy(update={"threads": None})
    assert submit(REQUEST, free).threads is None
    assert submit(REQUEST, free.model_copy(update={"workers": 3})).threads == 2
    assert submit(REQUEST, workspace.model_copy(update={"workers": 3})).threads == 1, "what was asked for stays"


def test_a_second_process_is_started_only_where_it_may_run(
    workspace: Workspace, job_store: JobStore, started: list[Path]
):
    submit(REQUEST, workspace)
    assert started == [workspace.home]
    claimed(job_store)
    submit(REQUEST, workspace)
    assert started == [workspace.home]
    assert len(listed(workspace.model_copy(update={"workers": 2}))) == 2
    assert started == [workspace.home], "it waits for one worker, as it was submitted"
    submit(REQUEST, workspace.model_copy(update={"workers": 2}))
    job_store.change(job_store.list("running")[0].id, ("running",), status="done")
    show(job_store.list()[0].id, workspace)
    assert started == [workspace.home] * 2, "whoever looks starts what nobody else started"


# --- disk, damage, versions -------------------------------------------------------------------------------------------


def test_without_jobs_nothing_is_written(workspace: Workspace):
    assert listed(workspace) == []
    with pytest.raises(
        UnknownJob, match="no job 'job-zzzzzz'; there are none yet: list them with: layerwise jobs list"
    ):
        show("job-zzzzzz", workspace)
    assert not workspace.home.exists()


def test_a_home_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    closed = workspace_in(tmp_path).model_copy(update={"home": tmp_path / "file" / "home"})
    assert listed(closed) == []
    with pytest.raises(
        StorageError, match=r"cannot use the list of jobs .*: Not a directory; runs are not in it and intact"
    ):
        submit(REQUEST, closed)


def test_a_table_on_a_closed_disk_is_read_and_shows_nobody_as_running(
    workspace: Workspace, job_store: JobStore, monkeypatch: pytest.MonkeyPatch
):
    job = submit(REQUEST, workspace)
    job_store.claim(ME.model_copy(update={"began": "another boot"}), memory.refusal)
    connect = sqlite3.connect

    def closed(name: str, *words, **options):
        if "mode=rw" in name:
            raise sqlite3.OperationalError("unable to open database file")
        return connect(name, *words, **options)

    monkeypatch.setattr(sqlite3, "connect", closed)
    assert [each.status for each in listed(workspace)] == ["orphaned"]
    assert show(job.id, workspace).error == "its processes are gone: they were killed, or the machine stopped"
    with pytest.raises(StorageError, match="unable to open database file"):
        submit(REQUEST, workspace)
    monkeypatch.undo()
    assert job_store.get(job.id).status == "running", "as it was written"


def test_a_full_disk_adds_nothing(workspace: Workspace, job_store: JobStore, monkeypatch: pytest.MonkeyPatch):
    job = submit(REQUEST, workspace)
    connect = sqlite3.connect

    def full(*words, **options):
        table = connect(*words, **options)
        table.execute("PRAGMA max_page_count = 1")  # SQLite says "full" as it does when the disk is
        return table

    monkeypatch.setattr(sqlite3, "connect", full)
    large = TrainRequest(model="m" * 20_000, data="d")
    with pytest.raises(StorageError, match=r"database or disk is full; .*Free some space"):
        submit(large, workspace)
    JobProgress(lambda **fields: job_store.change(job.id, ("queued",), messages=("m" * 20_000,))).say("goes on")
    monkeypatch.undo()
    assert job_store.list() == [job]


def test_a_damaged_table_and_one_of_a_newer_version(workspace: Workspace, job_store: JobStore):
    job = submit(REQUEST, workspace)
    with sqlite3.connect(job_store.path) as table:
        newer = job.model_dump_json().replace("{", '{"planet": 3, ', 1)
        table.execute("UPDATE jobs SET job = ?", (newer,))
    table.close()
    with pytest.raises(DamagedRecord, match=r"damaged or of a newer version .planet: Extra inputs"):
        job_store.list()
    for beside in job_store.folder.iterdir():
        beside.unlink()
    job_store.path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match=r"file is not a database; .*move it away: a new one is made"):
        show(job.id, workspace)
    job_store.path.unlink()
    assert submit(REQUEST, workspace) == job_store.list()[0]


def test_a_record_is_the_same_after_the_table(workspace: Workspace, job_store: JobStore):
    job = submit(CompressRequest(plan="plan-4c4c4c", heal="linear"), workspace, resume=True)
    assert job_store.get(job.id) == job
    assert Job.model_validate(json.loads(job.model_dump_json())) == job
    assert (job.resume, job.command) == (True, "layerwise compress plan-4c4c4c --seed 0 --heal linear")


# --- progress ---------------------------------------------------------------------------------------------------------


def test_progress_is_written_every_half_second_and_what_is_said_at_once(monkeypatch: pytest.MonkeyPatch):
    clock, written = [100.0], []
    monkeypatch.setattr("tools.jobs.progress.time.monotonic", lambda: clock[0])
    progress = JobProgress(lambda **fields: written.append(fields))
    for _ in progress.track(range(20), 20, "counting"):
        clock[0] += 0.125
        progress.say("x") if clock[0] == 100.125 else None
    steps = [each["progress"] for each in written if "progress" in each]
    assert [step.done for step in steps] == [0, 4, 8, 12, 16, 20]
    assert (steps[2].fraction, steps[2].seconds_left) == (0.4, 1.5)
    assert [each for each in written if "messages" in each] == [{"messages": ("x",)}]
    assert all(each["peak_memory_mb"] > 10 for each in written if "progress" in each)


# --- memory -----------------------------------------------------------------------------------------------------------


def model_of(folder: Path, megabytes: int) -> str:
    folder.mkdir()
    with (folder / "model.safetensors").open("wb") as file:
        file.truncate(megabytes * 1_000_000)
    return str(folder)


def test_what_is_known_of_a_model_before_it_is_opened(workspace: Workspace, job_store: JobStore, tmp_path: Path):
    folder = model_of(tmp_path / "model", 1000)

    def expected(request: Request) -> float | None:
        return memory.expected_mb(request, workspace, job_store.list())

    assert expected(EvaluateRequest(model=folder, data="d")) == memory.LIBRARIES + 1000
    assert expected(TrainRequest(model=folder, data="d")) == memory.LIBRARIES + 4000
    assert expected(TrainRequest(model="demo:minilm", data="d")) == pytest.approx(memory.LIBRARIES + 4 * 90.85, abs=0.1)
    assert expected(TrainRequest(model="org/unknown", data="d")) is None
    assert expected(TrainRequest(model="train-zzzzzz", data="d")) is None
    for run in story():
        workspace.runs.save(run)
    model_of(workspace.runs.folder("train-2a2a2a") / "model", 50)
    assert expected(CompressRequest(plan="plan-4c4c4c")) == memory.LIBRARIES + 2 * 50
    asked = AnalyzeRequest(model="train-2a2a2a", data="demo:amazon", methods=("fisher",))
    peak = Measurement(name="peak_memory_mb", subject="measured", value=2176.2, unit="MB")
    workspace.runs.save(
        analysis_run(model=asked.model, data=asked.data, settings=asked.model_dump(mode="json"), measurements=[peak])
    )
    assert expected(asked) == 2176.2
    assert expected(asked.model_copy(update={"methods": ("shap",)})) == memory.LIBRARIES + 50
    before = submit(TrainRequest(model="org/unknown", data="d", seed=1), workspace)
    claimed(job_store)
    job_store.change(before.id, ("running",), status="done", peak_memory_mb=1234.0)
    assert expected(TrainRequest(model="org/unknown", data="d", seed=2)) == 1234.0
    assert expected(TrainRequest(model="org/unknown", data="other")) is None


def test_a_job_that_does_not_fit_is_refused_or_waits(
    workspace: Workspace, job_store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    free = [2000.0]
    monkeypatch.setattr(memory, "total_mb", lambda: 8000.0)
    monkeypatch.setattr(memory, "free_mb", lambda: free[0])
    two = workspace.model_copy(update={"workers": 2})
    large = EvaluateRequest(model=model_of(tmp_path / "large", 3000), data="d")
    small = EvaluateRequest(model=model_of(tmp_path / "small", 1000), data="d")
    huge = EvaluateRequest(model=model_of(tmp_path / "huge", 9000), data="d")
    with pytest.raises(NotEnoughMemory, match="needs at least 3,400 MB of memory and 2,000 MB are free; end what else"):
        submit(large, two)
    assert job_store.list() == []
    first = submit(small, two)
    assert claimed(job_store).id == first.id
    with pytest.raises(NotEnoughMemory, match="9,400 MB of memory and 8,000 MB are all there are"):
        submit(huge, two)
    second = submit(large, two)  # perhaps the first leaves enough
    free[0] = 4000.0
    assert claimed(job_store) is None, "1,400 of it are for the first, which has not taken them yet"
    job_store.change(first.id, ("running",), worker=ME, needs_mb=1.0)
    assert claimed(job_store).id == second.id
    job_store.change(second.id, ("running",), status="failed")
    job_store.change(first.id, ("running",), status="done")
    resume(second.id, two)
    free[0] = 2000.0
    assert claimed(job_store) is None
    refused = job_store.get(second.id)
    assert (refused.status, refused.error_type, refused.started) == ("failed", "NotEnoughMemory", None)
    assert "and 2,000 MB are free" in refused.error


def test_a_container_may_have_less_than_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (limit := tmp_path / "max").write_text("500000000\n")
    (held := tmp_path / "current").write_text("100000000\n")
    monkeypatch.setattr(memory, "GROUPS", ((tmp_path / "none", held), (limit, held)))
    assert (memory.total_mb(), memory.free_mb()) == (500.0, 400.0)
    limit.write_text("max\n")
    assert memory.total_mb() > 500


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_system_is_asked_what_it_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert memory.kills() >= 0
    monkeypatch.setattr(memory, "KILLS", tmp_path / "none")
    assert memory.kills() is None


def test_a_process_is_known_by_its_number_and_its_beginning():
    assert processes.identity(os.getpid()) == ME
    assert processes.alive(ME)
    assert not processes.alive(ME.model_copy(update={"began": "earlier"}))
    assert processes.identity(2**22 + 1) is None
    assert not processes.alive(None)
