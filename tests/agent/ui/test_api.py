"""The endpoints for programs, as gradio_client sees them: what they return is what --json prints."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from gradio_client import Client
from gradio_client.exceptions import AppError

from agent.cli import main
from tests.agent.ui.panels.conftest import Site, site
from tests.fake_jobs import until
from tools.jobs import JobStore

__all__ = ["site"]


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[Client]:
    opened = Client(site.url, verbose=False)
    yield opened
    opened.close()


def cli(site: Site, *words: str) -> Any:
    done = CliRunner().invoke(main, [*words, "--home", str(site.workspace.home), "--json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def renamed(document: Any) -> Any:
    """As a client gets it: gradio_client would fetch what is called `path`."""
    return json.loads(json.dumps(document).replace('"path": ', '"file": '))


def test_everything_that_the_page_can_do_has_a_name(client: Client):
    known = client.view_api(return_format="dict", print_info=False)
    assert set(known["named_endpoints"]) == {
        *(f"/runs_{verb}" for verb in ("list", "show", "search", "compare")),
        *(f"/jobs_{verb}" for verb in ("list", "show", "cancel", "resume")),
        *("/sessions_list", "/sessions_show", "/methods", "/models", "/datasets", "/preview", "/workflows"),
        *("/chat", "/decide", "/train", "/analyze", "/plan", "/compress", "/evaluate", "/export"),
    }
    assert known["unnamed_endpoints"] == {}  # what the tabs do among themselves is no business of programs
    chat = known["named_endpoints"]["/chat"]
    assert [each["parameter_name"] for each in chat["parameters"]] == ["message", "session"]
    assert chat["description"].startswith("Say something")


def test_runs_are_the_documents_of_the_command_line(client: Client, site: Site):
    for run in ("compression-5d5d5d", "plan-4c4c4c"):
        assert client.predict(run, api_name="/runs_show") == renamed(cli(site, "runs", "show", run))
    listed = client.predict(kind="plan", api_name="/runs_list")
    assert listed == cli(site, "runs", "list", "--kind", "plan")
    assert len(client.predict(limit=2, api_name="/runs_list")) == 2
    pair = ["analysis-3b3b3b", "analysis-8h8h8h"]
    assert client.predict(pair, api_name="/runs_compare") == cli(site, "runs", "compare", *pair)
    found = client.predict("what was removed and healed", kind="compression", api_name="/runs_search")
    assert [hit["run"]["id"] for hit in found] == ["compression-5d5d5d"]


def test_what_there_is(client: Client, site: Site, tmp_path: Path):
    for name in ("methods", "models", "datasets"):
        assert client.predict(api_name=f"/{name}") == cli(site, name)
    assert client.predict(api_name="/workflows")["plan"]["properties"]["ratio"]
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {i},{i % 2}\n" for i in range(40)))
    seen = client.predict(f"csv:{tmp_path / 'a.csv'}", api_name="/preview")
    assert (seen["examples"], seen["classes"]) == (40, [{"label": "0", "examples": 20}, {"label": "1", "examples": 20}])


def test_a_job_is_started_shown_cancelled_and_resumed(client: Client, site: Site, tmp_path: Path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f"text {i},{i % 2}\n" for i in range(40)))
    job = client.predict({"model": "demo:minilm", "data": f"csv:{tmp_path / 'a.csv'}"}, api_name="/train")
    assert (job["workflow"], job["request"]["model"]) == ("train", "demo:minilm")
    store = JobStore(site.workspace.home)
    until(lambda: store.get(job["id"]).over)
    assert client.predict(job["id"], api_name="/jobs_show")["status"] == "done"
    assert client.predict(api_name="/jobs_list")[0]["id"] == job["id"]
    with pytest.raises(AppError, match="is done already; there is nothing to cancel"):
        client.predict(job["id"], api_name="/jobs_cancel")
    with pytest.raises(AppError, match="is done; there is nothing to resume"):
        client.predict(job["id"], api_name="/jobs_resume")


def test_a_conversation(client: Client, site: Site):
    turn = client.predict("stream two words", api_name="/chat")
    assert [item["is"] for item in turn["items"]] == ["Said", "Reply"]
    assert turn["items"][-1]["text"] == "two words"
    assert turn["question"] is None
    asked = client.predict('call delete_run {"run": "analysis-8h8h8h"}', session=turn["session"], api_name="/chat")
    assert (asked["session"], asked["question"]["name"]) == (turn["session"], "delete_run")
    refused = client.predict(turn["session"], "refuse", api_name="/decide")
    assert refused["question"] is None
    assert site.workspace.runs.get("analysis-8h8h8h")
    assert client.predict(words="two words", api_name="/sessions_list")[0]["id"] == turn["session"]
    said = client.predict(turn["session"], api_name="/sessions_show")["lines"]
    assert next(line["text"] for line in said if line["who"] == "user") == "stream two words"
    with pytest.raises(AppError, match="no step waits"):
        client.predict(turn["session"], "approve", api_name="/decide")


@pytest.mark.parametrize(
    ("endpoint", "given", "message"),
    [
        ("/runs_show", ["<b>x</b>"], "no run '<b>x</b>'; the newest are "),
        ("/runs_list", ["cake"], "'cake' is no kind of run; there are: train, analysis"),
        ("/runs_list", ["", "", None, 0], "a limit of 0 shows nothing"),
        ("/runs_compare", [["plan-4c4c4c"]], "needs two or more different runs"),
        ("/jobs_show", ["job-zzzzzz"], "no job 'job-zzzzzz'"),
        ("/preview", ["csv:/nowhere.csv"], "no file '/nowhere.csv'"),
        ("/plan", [{"analysis": "analysis-3b3b3b"}], "0 targets were given"),
        ("/plan", [{"analysis": "analysis-3b3b3b", "half": True}], "plan has no half; it has: seed, analysis, ratio"),
        ("/train", [{"model": "demo:minilm"}], "data is missing"),
        ("/train", [{"model": "demo:minilm", "data": "demo:amazon", "epochs": 0}], "epochs 0 is not allowed"),
        ("/evaluate", [{"model": "../nowhere", "data": "demo:amazon"}], "no folder '../nowhere'"),
        ("/chat", [" "], "the message is empty"),
        ("/chat", ["x" * 100_000], "at most 20,000 are read"),
        ("/chat", ["hello", "chat-nobody"], "there is no session 'chat-nobody' of yours"),
        ("/sessions_show", ["chat-nobody"], "there is no session 'chat-nobody' of yours"),
    ],
)
def test_a_failure_is_the_message_and_nothing_else(client: Client, endpoint: str, given: list[Any], message: str):
    with pytest.raises(AppError) as problem:
        client.predict(*given, api_name=endpoint)
    assert message in str(problem.value)
    assert "Traceback" not in str(problem.value)
