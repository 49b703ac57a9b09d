"""How quick the page is: from the command to a usable page, to the first event of an answer, and with many sessions at once."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]
STARTS, MESSAGES, SESSIONS = 3, 5, 20
REST = 3.0  # seconds before a command, in which a browser that was just opened or closed comes to rest
UI = ("-m", "agent.cli", "ui", "--llm", "offline", "--home", "{home}", "--port", "{port}")
FAKE = ("-W", "ignore", "-m", "tests.agent.ui.server", "{home}", "{port}")  # with fake workflows
TARGETS = {"start": 6.0, "first": 0.3}


def tables(cache: Path) -> Iterator[str]:
    yield "| the page | median | slowest | target |"
    yield "|---|---|---|---|"
    for what, kept in (("an empty home", False), ("a home with a session", True)):
        starts, drawn, at_once = [], [], []
        for _ in range(STARTS):
            with _home(kept) as home, _server(home, UI) as (address, begin), closing(_Window(address)) as window:
                starts.append(time.monotonic() - begin)
                at_once.append(window.ask("hello"))
            with _home(kept) as home, _browser() as browser, _server(home, UI) as (address, begin):
                drawn.append(_drawn(browser, address) - begin)
        yield _row(f"from `layerwise ui` with {what} to a session that is shown, without a browser", starts, None)
        yield _row("the same to a page in Chromium that takes a message", drawn, TARGETS["start"])
        yield _row("first event of a message that is sent in that moment", at_once, None)
    with _home() as home, _server(home, FAKE) as (address, _):
        with closing(_Window(address)) as window:
            window.ask("hello")  # what is loaded once is loaded
            yield _row("first event after a message", [window.ask("hello") for _ in range(MESSAGES)], TARGETS["first"])
        windows = [_Window(address) for _ in range(SESSIONS)]
        found: list[float] = []
        job = windows[0]
        job.ask('call train_model {"model": "demo:minilm", "data": "steps=600 pause=0.1 ledger=/dev/null"}')
        job.ask("yes")
        threads = [threading.Thread(target=lambda each=each: found.append(each.ask("hello"))) for each in windows[1:]]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        yield _row(f"the same for {SESSIONS - 1} sessions at once while the job of one more runs", found, None)
        for each in windows:
            each.close()


def _row(what: str, seconds: list[float], target: float | None) -> str:
    told = "" if target is None else f"{target:g} s {'met' if median(seconds) < target else 'MISSED'}"
    return f"| {what} | {median(seconds):.2f} s | {max(seconds):.2f} s | {told} |"


@contextmanager
def _home(kept: bool = False) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        if kept:
            said = ["chat", "--llm", "offline", "--home", folder, "--once", "hello"]
            subprocess.run([sys.executable, "-m", "agent.cli", *said], cwd=ROOT, check=True, capture_output=True)
        yield home


@contextmanager
def _browser() -> Iterator[Browser]:
    """Debian's Chromium, which is there before the command is given."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


def _drawn(browser: Browser, address: str) -> float:
    """When a message that was typed stands in the conversation's box, and the conversation is shown above it."""
    page = browser.new_page()
    page.goto(address)
    page.locator("[role=log] > div").first.wait_for()
    page.locator("#message textarea").fill("hello")
    return time.monotonic()


@contextmanager
def _server(home: Path, command: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """A server, and when its command was given."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    time.sleep(REST)
    begin = time.monotonic()
    words = [sys.executable, *(word.format(home=home, port=port) for word in command)]
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with closing(socket.socket()) as there:
                if not there.connect_ex(("127.0.0.1", port)):
                    break
            time.sleep(0.02)
        yield address, begin
    finally:
        process.kill()
        process.wait()


class _Window:
    """What a browser does with Gradio's protocol, without drawing it: so many browsers would be measured, not the server."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=address, timeout=60)
        self._hash = secrets.token_hex(6)
        parts = self._http.get("/config").json()
        names = {part["id"]: part["props"].get("elem_id") for part in parts["components"]}
        self._events = {(names.get(target[0]), target[1]): each["id"]
                        for each in parts["dependencies"] for target in each["targets"]}  # fmt: skip
        self._shown, self._new = "", threading.Condition()
        load = next(
            each["id"] for each in parts["dependencies"] if any(target[1] == "load" for target in each["targets"])
        )
        self._join(load, [])
        self.session = self._first()
        self._join(self._events["session", "change"], [self.session])
        threading.Thread(target=self._read, daemon=True).start()
        self._wait(lambda: self._shown)

    def ask(self, text: str) -> float:
        """Seconds until something of the answer is there, the message itself aside."""
        before = (
            self._shown.count('class="reply"') + self._shown.count('class="question') + self._shown.count('class="step')
        )
        begin = time.monotonic()
        self._join(self._events["message", "submit"], [self.session, text])
        self._wait(
            lambda: (
                self._shown.count('class="reply"')
                + self._shown.count('class="question')
                + self._shown.count('class="step')
                > before
            )
        )
        return time.monotonic() - begin

    def close(self) -> None:
        self._http.close()

    def _join(self, event: int, data: list[Any]) -> None:
        given = {"data": data, "fn_index": event, "session_hash": self._hash, "event_data": None, "trigger_id": None}
        self._http.post("/gradio_api/queue/join", json=given).raise_for_status()

    def _lines(self) -> Iterator[dict[str, Any]]:
        with self._http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self._hash}) as answer:
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def _first(self) -> str:
        for message in self._lines():
            if message["msg"] == "process_completed":
                return str(message["output"]["data"][0])
        raise RuntimeError("the page did not say which session it shows")

    def _read(self) -> None:
        try:
            for message in self._lines():
                if message["msg"] in ("process_generating", "process_completed"):
                    with self._new:
                        self._shown += json.dumps(message.get("output"), ensure_ascii=False).replace('\\"', '"')
                        self._new.notify_all()
        except httpx.HTTPError:
            return  # closed

    def _wait(self, true: Any) -> None:
        with self._new:
            if not self._new.wait_for(true, 60):
                raise RuntimeError(f"nothing came within 60 s: {self._shown[-500:]}")
