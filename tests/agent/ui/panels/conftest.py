"""The page on a home with sample runs; jobs of it are real processes with fake workflows."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fake_jobs import until
from tests.sample_runs import analysis_run, story
from tools.jobs import JobStore, processes
from tools.workspace import Workspace

CHROMIUM = Path("/usr/bin/chromium")


@dataclass(frozen=True)
class Site:
    url: str
    workspace: Workspace
    log: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The story of tests.sample_runs, and a second analysis to compare with."""
    folder = tmp_path_factory.mktemp("site")
    workspace = Workspace(home=folder / "home", cache=folder / "cache")
    for run in [*story(), analysis_run(run_id="analysis-8h8h8h", parents=[])]:
        workspace.runs.save(run)
    log = folder / "log.txt"
    command = [sys.executable, "-P", "-m", "tests.fake_site", str(workspace.home), str(workspace.cache)]
    started: dict[str, Any] = {"env": {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, "text": True}
    with log.open("w") as said, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, **started) as server:
        assert server.stdout
        try:
            url = server.stdout.readline().split()[3].rstrip(";")
            until(lambda: _answers(url))
            yield Site(url, workspace, log)
        finally:
            server.terminate()
            server.wait(10)
            _end(JobStore(workspace.home))


def _answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=30).is_success
    return False


def _end(store: JobStore) -> None:
    """No process of a job is left behind."""
    for job in store.list("queued"):
        store.change(job.id, ("queued",), status="cancelled")
    for each in [each for job in store.list("running") for each in (job.worker, job.supervisor) if each]:
        processes.stop(each, asked=0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    if not CHROMIUM.exists():
        pytest.skip(f"no {CHROMIUM}: .ci/run installs it")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture
def page(site: Site, browser: Any) -> Iterator[Any]:
    """A new visitor. Whatever the page asks of another host, or runs that somebody slipped into it, fails the test."""
    visitor = browser.new_page(viewport={"width": 1200, "height": 900})
    visitor.set_default_timeout(30_000)
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
