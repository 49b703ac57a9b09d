"""What the chat is given to draw, and who is given it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from torch.utils.tensorboard import SummaryWriter

from agent.sessions import Sessions
from agent.settings import Settings
from agent.ui.gallery import add_gallery
from agent.ui.gate import USER
from agent.ui.page import Page
from analyzers.records import TrainRequest, now
from tests.fake_workflows import no_index
from tests.sample_runs import story, train_run
from tools.jobs import Job, JobStore, processes

__all__ = ["no_index"]


@pytest.fixture
def page(tmp_path: Path, no_index: None) -> Any:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache", llm="offline")
    made = Page.of(settings, settings.workspace(), ("alice", "bob"))
    yield made
    made.conversations.close()


def asked(page: Page, path: str, visitor: str = "alice") -> Any:
    """The answer, read as the visitor."""
    app = FastAPI()
    add_gallery(app, {"en": page, "zh": replace(page, language="zh")})

    async def signed_in(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, USER: visitor}, receive, send)

    return TestClient(signed_in).get(path)


def test_a_run_has_its_pictures_each_with_its_table(page: Page) -> None:
    for run in story():
        page.workspace.runs.save(run)
    found = asked(page, "/pictures/en/analysis-3b3b3b").json()
    assert [each["name"] for each in found] == ["scores", "score_map", "agreement", "deletion"]
    for each in found:
        assert each["figure"]["data"]
        assert each["figure"]["layout"]["paper_bgcolor"] == "#ffffff"
        assert "<tbody><tr>" in each["table"]
    chinese = asked(page, "/pictures/zh/analysis-3b3b3b").json()
    assert [each["title"] for each in chinese][:2] == ["各层得分", "各层排名"]
    assert "共识排名" in chinese[0]["table"]


@pytest.mark.parametrize(
    "path", ["/pictures/en/train-zzzzzz", "/pictures/xx/train-2a2a2a", "/pictures/en/..%2f..%2fx", "/live/en/chat-zzz"]
)
def test_what_is_not_there_is_nothing(page: Page, path: str) -> None:
    page.workspace.runs.save(train_run())
    answer = asked(page, path)
    assert answer.status_code == 404
    assert "train" not in answer.text


def test_the_curve_of_a_training_that_goes_on_is_for_who_started_it(page: Page, tmp_path: Path) -> None:
    request = TrainRequest(model="demo:minilm", data="demo:amazon")
    conversation = page.conversations.new("alice")
    with_step = Sessions(page.workspace)
    with_step.claim(conversation.session, "alice")
    with_step.begin_step(conversation.session, "call-1", "train_model", {"model": "demo:minilm", "data": "demo:amazon"})
    path = f"/live/en/{conversation.session}"
    assert asked(page, path).json() == []  # the job is not there yet
    run = train_run(run_id="train-9q9q9q", status="running", result=None)
    page.workspace.runs.save(run)
    me = processes.identity(processes.os.getpid())
    told: dict[str, Any] = {"folder": tmp_path, "cache": tmp_path, "device": "cpu", "threads": 1, "workers": 1}
    job = Job(id="job-1", workflow="train", request=request, command="", created=now(), log=tmp_path / "log", **told)
    JobStore(page.workspace.home).add(
        job.model_copy(update={"status": "running", "run": run.id, "worker": me, "supervisor": me})
    )
    assert asked(page, path).json() == []  # nothing is written yet
    with SummaryWriter(page.workspace.runs.folder(run.id) / "tensorboard") as board:
        board.add_scalar("train/loss", 0.5, 1)
        board.flush()
        (curve,) = asked(page, path).json()
    assert curve["figure"]["data"][0]["name"] == "train split, mean of 1 batches"
    assert "0.500" in curve["table"]
    assert asked(page, path, "bob").status_code == 404
    with_step.end_steps(conversation.session)
    assert asked(page, path).json() == []  # the step is over
    with_step.close()
