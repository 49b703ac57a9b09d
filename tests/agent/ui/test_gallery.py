"""Pictures of a run below an answer: all of them, with their values, and nothing that a name could do."""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from agent.events import Backed
from agent.settings import Settings
from agent.ui import serve
from agent.ui.gallery import gallery, pictured
from agent.ui.html import text
from agent.ui.page import Page
from agent.ui.transcript import Reply
from tests.agent.ui.test_drawing import NASTY, draw, drawing
from tests.fake_workflows import no_index
from tests.sample_runs import evaluation_run, story
from tools import figures
from tools.workspace import Workspace

__all__ = ["no_index"]


@pytest.fixture
def page(tmp_path: Path, no_index: None) -> Page:
    workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    for run in (*story(), evaluation_run()):
        workspace.runs.save(run)
    return Page.of(Settings(home=workspace.home), workspace)


def backed(run: str | None) -> Backed:
    return Backed(number="1", start=0, end=1, value=1.0, unit="", low=None, high=None, run=run, path="x")


def test_an_answer_shows_the_pictures_of_the_runs_it_speaks_of() -> None:
    runs = ["plan-4c4c4c", "analysis-3b3b3b", None, "plan-4c4c4c", "evaluation-6e6e6e"]
    reply = Reply("1", whole=True, facts=tuple(map(backed, runs)))
    assert pictured(reply.facts) == ["plan-4c4c4c", "analysis-3b3b3b"]
    html = draw(reply, language="zh")
    assert re.findall(r'<iframe src="([^"]*)"', html) == ["/pictures/zh/plan-4c4c4c", "/pictures/zh/analysis-3b3b3b"]
    assert 'title="plan-4c4c4c 的图"' in html
    assert "<iframe" not in draw(Reply("no numbers", whole=True))


@pytest.mark.parametrize("run", story(), ids=lambda run: run.kind)
def test_every_picture_has_its_values_below_it(run: Any, page: Page) -> None:
    html = gallery(run, page)
    found = figures.pictures(run)
    assert found
    assert html.count('class="plotly-graph-div"') == html.count("<table>") == len(found)
    for picture in found:
        assert f"<h2>{page.say(f'runs.picture_{picture.name}')}</h2>" in html
        assert all(f'<th scope="col">{text(name)}</th>' in html for name in picture.table.header)
    assert not re.search(r'(?:src|href)="(?!/pictures/plotly.js")', html), "nothing is loaded from anywhere else"


def test_names_are_text(page: Page) -> None:
    plan = next(run for run in story() if run.kind == "plan")
    nasty = plan.model_copy(update={"model": NASTY, "data": NASTY})
    assert "<img" not in gallery(nasty, page)


def test_they_are_served(page: Page) -> None:
    client = TestClient(FastAPI(routes=serve.picture_routes(page)))
    html = client.get("/pictures/zh/analysis-3b3b3b")
    assert html.status_code == 200
    assert '<html lang="zh">' in html.text
    assert page.say("runs.picture_scores") not in html.text, "it speaks Chinese"
    assert client.get("/pictures/plotly.js").headers["content-type"].startswith("text/javascript")
    gone = client.get("/pictures/en/plan-zzzzzz")
    assert gone.status_code == 404
    assert "no run" in gone.text
    assert client.get("/pictures/xx/plan-4c4c4c").status_code == 422
    assert client.get("/pictures/en/..%2F..%2Fx").status_code in (404, 422)
    assert drawing().items([Reply("x", True, (backed("plan-4c4c4c"),))], 0.0)
