"""`layerwise jobs` and --job, with real processes; and a chat whose workflows run in jobs."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent import repl
from agent.chat import ChatSession
from agent.cli import main
from agent.events import Answer, Stopped, ToolFinished, ToolNote, ToolProgress
from agent.llm import LanguageModel
from agent.planner import Planner
from agent.sessions import Begun
from analyzers.progress import Progress
from analyzers.records import TrainRequest, now
from tests.agent.scripted import Scripted
from tests.fake_jobs import noted, until
from tests.tools.jobs.conftest import job_store
from tools.jobs import JobStore, JobWorkflows, control
from tools.jobs.records import Job
from tools.workspace import Workspace

__all__ = ["job_store"]


def call(*words: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, list(words))
    assert result.exit_code == code, result.stderr
    return result


def test_a_job_from_its_start_to_its_end(job_store: JobStore, tmp_path: Path):
    ledger = tmp_path / "ledger"
    assert "start one with --job" in call("jobs", "list").stdout
    words = ["train", "fake", f"steps=2 pause=0.1 ledger={ledger}", "--seed", "3", "--job"]
    job = Job.model_validate_json(call(*words, "--json").stdout)
    assert job.command == f"layerwise train fake 'steps=2 pause=0.1 ledger={ledger}' --seed 3"
    waiting = call("analyze", "fake", f"steps=1 error=DataError ledger={ledger}", "--job").stdout.split()
    assert waiting[1:] == ["next", "layerwise", "jobs", "follow", waiting[0]]
    followed = call("jobs", "follow", job.id)
    assert followed.stdout.startswith(f"{job.id}  done in ")
    assert "\nthreads " in f"\n{followed.stderr}"
    assert f"run     layerwise runs show {job_store.get(job.id).run}" in followed.stdout
    failed = call("jobs", "follow", waiting[0], "--json", code=1)
    assert json.loads(failed.stdout)["error"] == "it cannot be done"
    assert f"next    layerwise jobs resume {waiting[0]}" in call("jobs", "show", waiting[0]).stdout
    listed = [each["id"] for each in json.loads(call("jobs", "list", "--json").stdout)]
    assert listed == [waiting[0], job.id]
    table = call("jobs", "list").stdout.splitlines()
    assert [line.split()[:2] for line in table[1:]] == [[waiting[0], "failed"], [job.id, "done"]]
    assert "--limit" in call("jobs", "list", "--limit", "0", code=2).stderr
    for verb in ("show", "follow", "cancel", "resume"):
        assert "no job 'job-zzzzzz'; the newest are " in call("jobs", verb, "job-zzzzzz", code=2).stderr
    assert "is done; there is nothing to resume" in call("jobs", "resume", job.id, code=2).stderr


def test_cancel_follow_and_resume(job_store: JobStore, tmp_path: Path):
    ledger = tmp_path / "ledger"
    job_id = call("train", "fake", f"steps=8 pause=0.1 ledger={ledger}", "--job").stdout.split()[0]
    until(lambda: noted(ledger, "kept"))
    assert f"{job_id}  cancelled in" in call("jobs", "cancel", job_id).stdout
    assert "stopped by the user" in call("jobs", "follow", job_id, code=3).stdout
    assert json.loads(call("runs", "list", "--json").stdout)[0]["status"] == "cancelled"
    call("jobs", "resume", job_id)
    call("jobs", "follow", job_id)
    assert len(noted(ledger, "kept")) == 8


def test_who_stops_following_leaves_the_job(job_store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tools.jobs.processes.start", lambda home: None)
    job_id = call("train", "fake", "fake", "--job").stdout.split()[0]

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(control.time, "sleep", interrupted)
    result = call("jobs", "follow", job_id, code=3)
    assert f"note: {job_id} goes on; to end it: layerwise jobs cancel {job_id}" in result.stderr
    assert job_store.get(job_id).status == "queued"


@pytest.fixture
def chat(job_store: JobStore, tmp_path: Path):
    """A session with a language model whose workflows run in jobs."""
    sessions: list[ChatSession] = []

    def make(model: Any) -> ChatSession:
        workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
        workflows = JobWorkflows(workspace)
        sessions.append(
            ChatSession(LanguageModel(model, "offline", "asked"), workspace, "monday", workflows, approve="all")
        )
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


def test_a_chat_runs_its_workflows_in_jobs(chat: Callable[[Any], ChatSession], job_store: JobStore):
    events = list(chat(Planner()).stream("Train minilm on the Amazon demo reviews"))
    assert isinstance(events[-1], Answer), events[-1]
    assert events[-1].grounded
    [finished] = [event for event in events if isinstance(event, ToolFinished)]
    [job] = job_store.list()
    assert (job.workflow, job.status, job.run) == ("train", "done", finished.run_id)


def test_to_stop_a_chat_cancels_its_job(chat: Callable[[Any], ChatSession], job_store: JobStore, tmp_path: Path):
    words = {"model": "fake", "data": f"steps=400 pause=0.05 ledger={tmp_path / 'ledger'}"}
    session = chat(Scripted(steps=[("train_model", words), "done"]))
    events = []
    for event in session.stream("train it"):
        events.append(event)
        if isinstance(event, ToolProgress):
            session.cancel()
    assert isinstance(events[-1], Stopped)
    assert any(isinstance(event, ToolNote) and event.text.startswith("threads ") for event in events)
    [job] = job_store.list()
    assert (job.status, session._run(str(job.run)).status) == ("cancelled", "cancelled")


def test_the_terminal_chat_runs_its_workflows_in_jobs_where_it_is_told_to(job_store: JobStore):
    words = [
        "chat",
        "--llm",
        "offline",
        "--approve",
        "all",
        "--json",
        "--once",
        "Train minilm on the Amazon demo reviews",
    ]
    done = json.loads(call(*words, "--processes").stdout)
    [job] = job_store.list()
    assert (job.workflow, job.status) == ("train", "done")
    assert job.run in done["run_ids"]


def test_a_step_whose_chat_died_follows_its_job(
    job_store: JobStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    data = f"steps=20 pause=0.05 ledger={tmp_path / 'ledger'}"
    request = TrainRequest(model="fake", data=data)
    since = now()
    job = control.submit(request, workspace)
    step = Begun(call="1", name="train_model", arguments={"model": "fake", "data": data}, time=since)
    jobs = JobWorkflows(workspace)
    repl._take_up(SimpleNamespace(interrupted=lambda: step), jobs, workspace)
    assert f'{job.id} is still at work on what was asked; say "continue" to follow it' in capsys.readouterr().err
    assert jobs.train(request, workspace, Progress()).id == job_store.get(job.id).run
    assert [each.id for each in job_store.list()] == [job.id], "no second one was started"
    repl._take_up(SimpleNamespace(interrupted=lambda: step), jobs, workspace)
    assert capsys.readouterr().err == "", "it is over"
