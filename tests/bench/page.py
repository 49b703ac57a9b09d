"""How quick the page is: from the command to a usable page, to the first event of an answer, and with many sessions at once."""

import json
import os
import secrets
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

ROOT = Path(__file__).parents[2]
STARTS, MESSAGES, SESSIONS = 3, 5, 20
TARGETS = {"start": 6.0, "first": 0.3}


def tables(cache: Path) -> Iterator[str]:
    yield "| the page | median | slowest | target |"
    yield "|---|---|---|---|"
    starts = []
    for _ in range(STARTS):
        with _server() as (address, begin), closing(_Window(address)):
            starts.append(time.monotonic() - begin)
    yield _row("from `layerwise ui` to a page that shows its session", starts, TARGETS["start"])
    with _server() as (address, _):
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
def _server() -> Iterator[tuple[str, float]]:
    """A server with fake workflows, and when its command was given."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with TemporaryDirectory() as home:
        begin = time.monotonic()
        command = [sys.executable, "-W", "ignore", "-m", "tests.agent.ui.server", home, str(port)]
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
        )
        try:
            while True:
                try:
                    httpx.get(address)
                    break
                except httpx.TransportError:
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
