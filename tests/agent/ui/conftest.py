"""A server with fake workflows in real jobs, and Debian's Chromium: one of each for all tests of a module."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from agent.quiet import without_stubs
from tools.jobs import JobStore, processes

with without_stubs():  # as the command does, before a test imports it the slow way
    import gradio  # noqa: F401

ROOT = Path(__file__).parents[3]
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
PATIENCE = 40_000  # milliseconds: nothing takes so long, but a machine may have much to do
PICTURES = os.environ.get("LAYERWISE_PICTURES")  # a folder: the tests leave pictures of the page there

expect.set_options(timeout=PATIENCE)


class Server:
    """`python -m tests.agent.ui.server`, which may be killed and started again at the same address."""

    def __init__(self, home: Path, *auth: str) -> None:
        self.home, self._auth = home, auth
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        words = [str(self.home), str(self._port), *self._auth]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.agent.ui.server", *words], cwd=ROOT, env=_environment()
        )

    def ready(self) -> str:
        limit = time.monotonic() + 3 * PATIENCE / 1000  # it loads everything, on a machine that may have much to do
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                httpx.get(self.address, timeout=PATIENCE / 1000, verify=False)  # certificates take long to load
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return self.address
        raise AssertionError("the server did not come up")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Kill it, and leave no process of a job behind."""
        self.kill()
        store = JobStore(self.home)
        for job in store.list("queued"):
            store.change(job.id, ("queued",), status="cancelled")
        for each in [each for job in store.list("running") for each in (job.worker, job.supervisor) if each]:
            processes.stop(each, asked=0)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_ANALYTICS_ENABLED": "False", "PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("page"))
    yield started
    started.end()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server at which two users may sign in."""
    started = Server(tmp_path_factory.mktemp("users"), "alice:one", "bob:two")
    yield started
    started.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        why = "there is no Chromium, which these tests look at the page with; apt-get install chromium"
        if os.environ.get("LAYERWISE_CI"):
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Visitor:
    """A window, and what it asked of other hosts."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = address
        self.foreign: list[str] = []
        self.problems: list[str] = []
        self.context = context
        self.page: Page = context.new_page()
        self.page.on("request", self._asked)
        self.page.on("pageerror", lambda problem: self.problems.append(str(problem)))

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self, path: str = "/") -> "Visitor":
        self.page.goto(f"{self.address}{path}")
        expect(self.page.locator("[role=log] > div").first).to_be_visible()
        return self

    def new(self) -> "Visitor":
        """A session in which nothing was said."""
        expect(self.page).to_have_url(re.compile("session="))
        before = self.page.url
        self.page.locator("#new").click()
        expect(self.page).not_to_have_url(before)
        expect(self.page.locator(".welcome")).to_be_visible()
        return self

    def say(self, text: str) -> None:
        self.page.locator("#message textarea").fill(text)
        self.page.keyboard.press("Enter")

    def see(self, selector: str, text: str | None = None) -> Any:
        found = self.page.locator(f"[role=log] {selector}")
        found = found.filter(has_text=text).last if text else found.last
        expect(found).to_be_visible()
        return found

    def do(self, what: str) -> None:
        self.page.locator(f"#conversation [data-do={what}]").last.click()

    def picture(self, name: str) -> None:
        if PICTURES:
            self.page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


@pytest.fixture(scope="module")
def windows(browser: Browser) -> Iterator[Any]:
    """`windows(server)` opens a window; those of one server and one user share what the browser keeps, as tabs do."""
    contexts: dict[Any, BrowserContext] = {}

    def make(server: Server, user: str | None = None) -> Visitor:
        if (server, user) not in contexts:
            name, _, password = (user or "").partition(":")
            signed = {"http_credentials": {"username": name, "password": password}} if user else {}
            contexts[server, user] = browser.new_context(viewport={"width": 1280, "height": 800}, **signed)
            contexts[server, user].set_default_timeout(PATIENCE)
        return Visitor(contexts[server, user], server.ready())

    yield make
    for context in contexts.values():
        context.close()


@pytest.fixture(scope="module")
def window(windows: Any, server: Server) -> Visitor:
    return windows(server).open()


@pytest.fixture
def visit(windows: Any) -> Iterator[Any]:
    """`visit(server)` opens one more window."""
    opened: list[Visitor] = []

    def make(server: Server, path: str = "/", user: str | None = None) -> Visitor:
        opened.append(windows(server, user))
        return opened[-1].open(path)

    yield make
    for visitor in opened:
        assert (visitor.foreign, visitor.problems) == ([], [])
        visitor.page.close()


@pytest.fixture
def visitor(window: Visitor) -> Iterator[Visitor]:
    """The window that most tests share, at a session in which nothing was said; it asks nothing of other hosts."""
    yield window.new()
    assert (window.foreign, window.problems) == ([], [])
