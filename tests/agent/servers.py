"""Language model servers for tests, on loopback: Ollama's protocol and OpenAI's, following a script.

A step is what a real server might do: an answer, a call, a failure. `requests` holds the bodies that came in.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

MODEL = "tiny:1b"


class Says(NamedTuple):
    text: str
    prompt_tokens: int = 20


class Calls(NamedTuple):
    name: str
    arguments: dict[str, Any]


class Fails(NamedTuple):
    status: int
    message: str
    headers: tuple[tuple[str, str], ...] = ()


class Sleeps(NamedTuple):
    seconds: float


class Garbage(NamedTuple):
    """Bytes that are no JSON where the protocol wants some."""

    body: bytes = b"<html>gateway</html>"


class Endless(NamedTuple):
    """Tokens until the other side hangs up."""


class Hangs(NamedTuple):
    """The connection is cut without an answer."""


Step = Says | Calls | Fails | Sleeps | Garbage | Endless | Hangs


class Script:
    """What the server does at each request for an answer; the last step is repeated."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def next(self, request: dict[str, Any], headers: dict[str, str]) -> Step:
        self.requests.append(request)
        self.headers.append(headers)
        return self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]


class _Handler(BaseHTTPRequestHandler):
    script: Script
    protocol_version = "HTTP/1.1"

    def log_message(self, *words: object) -> None: ...

    def send(self, body: bytes, status: int = 200, kind: str = "application/json", extra: Any = ()) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in extra:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_json(self, document: Any, status: int = 200) -> None:
        self.send(json.dumps(document).encode(), status)

    def body(self) -> dict[str, Any]:
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")

    def begin_stream(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def answer(self, request: dict[str, Any]) -> None:
        match self.script.next(request, dict(self.headers)):
            case Fails(status=status, message=message, headers=headers):
                self.send(self.error(message), status, extra=headers)
            case Garbage(body=body):
                self.send(body)
            case Sleeps(seconds=seconds):
                time.sleep(seconds)
                self.close_connection = True
            case Hangs():
                self.close_connection = True
            case Endless():
                self.begin_stream("application/x-ndjson")
                try:
                    while True:
                        self.wfile.write(self.piece("more and more words of no use " * 20))
                except OSError:
                    return
            case step:
                self.tell(step, request)

    def error(self, message: str) -> bytes:
        raise NotImplementedError

    def piece(self, text: str) -> bytes:
        raise NotImplementedError

    def tell(self, step: Any, request: dict[str, Any]) -> None:
        raise NotImplementedError


class OllamaHandler(_Handler):
    def do_GET(self) -> None:
        self.send_json({"models": [{"model": MODEL, "name": MODEL}]})

    def do_POST(self) -> None:
        request = self.body()
        if self.path == "/api/show":
            self.send_json({"details": {}, "model_info": {"tiny.context_length": 32768}, "capabilities": ["tools"]})
        else:
            self.answer(request)

    def error(self, message: str) -> bytes:
        return json.dumps({"error": message}).encode()

    def piece(self, text: str) -> bytes:
        message = {"role": "assistant", "content": text}
        return json.dumps({"model": MODEL, "message": message, "done": False}).encode() + b"\n"

    def tell(self, step: Any, request: dict[str, Any]) -> None:
        message: dict[str, Any] = {"role": "assistant", "content": step.text if isinstance(step, Says) else ""}
        if isinstance(step, Calls):
            message["tool_calls"] = [{"function": {"name": step.name, "arguments": step.arguments}}]
        read = step.prompt_tokens if isinstance(step, Says) else 20
        end = {"done": True, "done_reason": "stop", "prompt_eval_count": read, "eval_count": 7}
        document = {"model": MODEL, "created_at": "2026-01-01T00:00:00Z", "message": message, **end}
        self.send(json.dumps(document).encode() + b"\n", kind="application/x-ndjson")


class OpenAIHandler(_Handler):
    def do_POST(self) -> None:
        self.answer(self.body())

    def error(self, message: str) -> bytes:
        return json.dumps({"error": {"message": message, "type": "error", "code": None}}).encode()

    def piece(self, text: str) -> bytes:
        return self._event({"content": text})

    def tell(self, step: Any, request: dict[str, Any]) -> None:
        if isinstance(step, Calls):
            function = {"name": step.name, "arguments": json.dumps(step.arguments)}
            call = {"index": 0, "id": f"call_{len(self.script.requests)}", "type": "function", "function": function}
            delta: dict[str, Any] = {"role": "assistant", "tool_calls": [call]}
            reason = "tool_calls"
        else:
            delta, reason = {"role": "assistant", "content": step.text}, "stop"
        read = step.prompt_tokens if isinstance(step, Says) else 20
        usage = {"prompt_tokens": read, "completion_tokens": 7, "total_tokens": read + 7}
        parts = [self._event(delta), self._event({}, reason), self._usage(usage), b"data: [DONE]\n\n"]
        self.send(b"".join(parts), kind="text/event-stream")

    def begin_stream(self, kind: str) -> None:
        super().begin_stream("text/event-stream")

    def _event(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return self._data({"choices": [choice]})

    def _usage(self, usage: dict[str, int]) -> bytes:
        return self._data({"choices": [], "usage": usage})

    def _data(self, more: dict[str, Any]) -> bytes:
        about = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        return b"data: " + json.dumps({**about, **more}).encode() + b"\n\n"


@contextmanager
def serving(handler: type[_Handler], script: Script) -> Iterator[Script]:
    """A server on a free port; its address is `script.url`."""
    bound = type("Bound", (handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), bound)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # the other side hung up, which is what many tests are about
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
