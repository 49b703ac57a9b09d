"""The page on a home with sample runs; jobs of it are real processes with fake workflows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.agent.ui.conftest import PATIENCE, Server
from tests.sample_runs import analysis_run, story
from tools.workspace import Workspace


@dataclass(frozen=True)
class Site:
    url: str
    workspace: Workspace


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The story of tests.sample_runs, and a second analysis to compare with."""
    home = tmp_path_factory.mktemp("site")
    workspace = Workspace(home=home, cache=home / "cache")
    for run in [*story(), analysis_run(run_id="analysis-8h8h8h", parents=[])]:
        workspace.runs.save(run)
    server = Server(home)
    try:
        yield Site(server.ready(), workspace)
    finally:
        server.end()


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What a browser keeps: the scripts of the page are loaded and compiled once for all tests."""
    opened = browser.new_context(viewport={"width": 1200, "height": 900})
    opened.set_default_timeout(PATIENCE)
    yield opened
    opened.close()


@pytest.fixture
def page(site: Site, context: BrowserContext) -> Iterator[Any]:
    """A new window. Whatever the page asks of another host, or runs that somebody slipped into it, fails the test."""
    visitor = context.new_page()
    wrong: list[str] = []
    visitor.on("request", lambda asked: wrong.append(asked.url) if _foreign(asked.url, site) else None)
    visitor.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    visitor.on("pageerror", lambda problem: wrong.append(str(problem)))
    visitor.goto(site.url)
    yield visitor
    visitor.close()
    assert wrong == []


def _foreign(url: str, site: Site) -> bool:
    return not url.startswith((site.url, "data:", "blob:"))
