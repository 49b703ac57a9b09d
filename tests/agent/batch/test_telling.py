"""What a batch tells others (the webhook, with nothing secret in it), and wrong use of its command line."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from analyzers.errors import DataError, StorageError
from analyzers.progress import Progress
from knowledge.runs import RunStore
from tests.agent.batch.conftest import steps
from tests.fake_workflows import FakeWorkflows


class Hook:
    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.status = 200
        self.url = ""


@pytest.fixture
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(found.status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    found.url = f"http://user:pass@127.0.0.1:{server.server_port}/hooks/T0secretpath?token=abcdefgh"
    yield found
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_webhook_gets_the_summary_and_nothing_secret(
    batch: Callable[..., Result], hook: Hook, workflows: FakeWorkflows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def fails(_: Progress) -> None:
        raise DataError(
            "https://bob:open@host/x?api_key=12345&page=2 refused hunter2secret and sk-proj-abcdefghijklmnop"
        )

    monkeypatch.setenv("OPENAI_API_KEY", "my-own-key")
    workflows.before["plan"] = fails
    result = batch("--webhook", hook.url, "--json", "--junit", "out.xml", code=1)
    assert hook.bodies == [json.loads(result.stdout)]
    assert steps(result)["plan"]["message"] == "https://***@host/x?api_key=***&page=2 refused *** and ***"
    for text in (result.stdout, result.stderr, (tmp_path / "out.xml").read_text(), json.dumps(hook.bodies)):
        for secret in ("hunter2secret", "bob:open", "12345", "my-own-key", "T0secretpath", "abcdefgh"):
            assert secret not in text


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_webhook_that_refuses_is_said_and_changes_nothing(batch: Callable[..., Result], hook: Hook, status: int):
    hook.status = status
    result = batch("--webhook", hook.url)
    port = hook.url.rpartition(":")[2].partition("/")[0]
    assert result.stdout.splitlines()[-1] == f"note: the webhook at http://127.0.0.1:{port} answered {status}"


def test_a_webhook_that_is_not_there(batch: Callable[..., Result]):
    notes = json.loads(batch("--webhook", "http://127.0.0.1:9/secret/path", "--json").stdout)["notes"]
    assert len(notes) == 1
    assert notes[0].startswith("the webhook at http://127.0.0.1:9 cannot be reached: ")
    assert "secret" not in notes[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--webhook", "ftp://x"], "--webhook needs an address such as"),
        (["--webhook", "x"], "--webhook needs an address such as"),
        (["--junit", "no/out.xml"], "there is no folder no"),
        (["--junit", "."], "is a folder; name a file in it"),
        (["--set", "colour"], "write NAME=VALUE"),
        (["--set", "colour=red"], "the script has no such variable; there are: api_key, floor"),
        (["--approve", "ask"], "'ask' is not one of"),
    ],
)
def test_wrong_use_is_said_before_anything_starts(batch: Callable[..., Result], workflows: FakeWorkflows, words: list[str], said: str):  # fmt: skip
    assert said in batch(*words, code=2).stderr
    assert workflows.names == []


def test_a_script_with_faults_is_one_json_document(batch: Callable[..., Result]):
    document = json.loads(batch("--json", code=2, script="steps:\n  - train: {}\n").stdout)
    assert document["error"]["type"] == "BadScript"
    assert "nightly.yaml:2:12: 'model' is missing" in document["error"]["message"]


def test_recipes_are_listed(tmp_path: Path):
    found = {each["name"]: each for each in json.loads(CliRunner().invoke(main, ["batch", "--list", "--json"]).stdout)}
    assert set(found) == {"layer_study", "compression_sweep", "method_comparison", "depth_exploration", "nightly_regression"}  # fmt: skip
    assert found["depth_exploration"]["matrix"] == {"layers": [4, 8, 16, 32]}
    assert "recipe:layer_study: Four stages" in CliRunner().invoke(main, ["batch", "--list"]).stdout
    nothing = CliRunner().invoke(main, ["batch"])
    assert nothing.exit_code == 2
    assert "layerwise batch --list" in nothing.stderr
    unknown = CliRunner().invoke(main, ["batch", "recipe:../x"])
    assert (unknown.exit_code, "no recipe '../x'; there are: compression_sweep" in unknown.stderr) == (2, True)


def test_the_home_is_not_touched_by_a_script_with_faults(batch: Callable[..., Result], tmp_path: Path):
    batch(code=2, script="steps:\n  - train: {}\n")
    assert RunStore(tmp_path / "home", embedder_folder=None).list() == []
    assert not (tmp_path / "home" / "batches").exists()


def test_a_junit_file_that_cannot_be_written_fails_the_command(batch: Callable[..., Result], monkeypatch: pytest.MonkeyPatch):  # fmt: skip
    def full(*_: object) -> None:
        raise StorageError("cannot write out.xml: No space left on device")

    monkeypatch.setattr("agent.batch.junit.write_whole", full)
    document = json.loads(batch("--junit", "out.xml", "--json", code=1).stdout)
    assert document["status"] == "done"
    assert document["notes"] == ["cannot write out.xml: No space left on device"]
