"""Conversations that last: listed, searched, renamed, exported, deleted, small on disk, whole after a kill and a summary."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent.chat import ChatSession
from agent.cli import main
from agent.events import Answer, Event, ToolStarted
from agent.llm import LanguageModel
from agent.planner import Planner
from agent.sessions import Sessions
from agent.summarizing import is_summary, tokens_about
from analyzers.errors import StorageError, UsageError
from tests.agent.scripted import Scripted
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tests.sample_runs import compression_run, story
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]

PLANNER = LanguageModel(Planner(), "offline", "asked")
WHOLE = (
    "Train minilm on the Amazon demo reviews, then tell me which layers I can drop to make it twice as fast, and do it"
)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(tmp_path: Path, no_index: None, workflows: FakeWorkflows) -> Workspace:
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def kept(workspace: Workspace) -> Iterator[Sessions]:
    opened = Sessions(workspace)
    yield opened
    opened.close()


def talk(workspace: Workspace, session: str, *texts: str, llm: LanguageModel = PLANNER) -> list[Event]:
    chat = ChatSession(llm, workspace, session, approve="all")
    events = [event for text in texts for event in chat.stream(text)]
    chat.close()
    return events


def test_conversations_are_listed_searched_renamed_and_deleted(workspace: Workspace, kept: Sessions) -> None:
    assert kept.all() == []
    talk(workspace, "monday", "Hello\n there", "train minilm on the Amazon demo reviews")
    talk(workspace, "tuesday", "什么是 Fisher？")
    assert [(each.id, each.title, each.messages) for each in kept.all()] == [
        ("tuesday", "什么是 Fisher？", 2),
        ("monday", "Hello there", 4),
    ]
    steps = [line.text for line in kept.get("monday").lines if line.who == "step"]
    assert steps == ["train_model(model=demo:minilm, data=demo:amazon): train-2a2a2a"]
    (found,) = kept.search("TRAINED amazon")  # one in the answer, the other in the question too
    assert (found.session.id, "Trained" in found.excerpt) == ("monday", True)
    assert [each.session.id for each in kept.search("什么是 fisher")] == ["tuesday"]
    assert kept.search("nowhere said") == []
    kept.rename("monday", "  half of\nminilm ")
    assert [each.session.title for each in kept.search("half of")] == ["half of minilm"]
    kept.delete("monday")
    assert [each.id for each in kept.all()] == ["tuesday"]
    again = ChatSession(PLANNER, workspace, "monday")
    assert again.history() == []
    again.close()
    assert workspace.runs.get("train-2a2a2a")  # runs stay


def test_the_tables_are_built_again_from_the_checkpoints(workspace: Workspace, kept: Sessions) -> None:
    talk(workspace, "monday", "hello", "thanks")
    before = kept.get("monday")
    with sqlite3.connect(workspace.sessions / "sessions.sqlite") as database:
        for table in ("said", "sessions"):
            database.execute(f"DELETE FROM {table}")
    after = kept.get("monday")
    assert [(line.who, line.text) for line in after.lines] == [(line.who, line.text) for line in before.lines]
    assert (after.title, after.messages, after.updated) == (before.title, before.messages, before.updated)


def test_a_conversation_keeps_one_checkpoint(workspace: Workspace) -> None:
    talk(workspace, "monday", "hello", "train minilm on the Amazon demo reviews", "thanks")
    with sqlite3.connect(workspace.sessions / "sessions.sqlite") as database:
        assert database.execute("SELECT count(*) FROM checkpoints").fetchone() == (1,)
    again = ChatSession(PLANNER, workspace, "monday")
    assert [who for who, _ in again.history()] == ["user", "assistant"] * 3
    again.close()


def test_export(workspace: Workspace, kept: Sessions, tmp_path: Path) -> None:
    talk(workspace, "monday", "train minilm on the Amazon demo reviews")
    document = json.loads(kept.export("monday", tmp_path / "a.json").read_text())
    assert [line["who"] for line in document["lines"]] == ["user", "step", "assistant"]
    text = kept.export("monday", tmp_path / "a.md").read_text()
    assert text.startswith("# train minilm on the Amazon demo reviews\n")
    assert "**assistant:** **Trained** demo:minilm" in text
    for name, says in (("a.md", "exists; choose another name"), ("a.txt", "neither FILE.md nor FILE.json")):
        with pytest.raises(UsageError, match=says):
            kept.export("monday", tmp_path / name)


def test_what_is_wrong_is_said(workspace: Workspace, kept: Sessions) -> None:
    with pytest.raises(
        UsageError, match=r"no session 'x'; there are none yet: list them with: layerwise sessions list"
    ):
        kept.get("x")
    talk(workspace, "monday", "hello")
    for action in (kept.delete, lambda name: kept.rename(name, "y"), kept.get):
        with pytest.raises(UsageError, match="no session 'x'; the newest are monday"):
            action("x")
    with pytest.raises(UsageError, match="nothing to search for"):
        kept.search(" ")
    with pytest.raises(UsageError, match="the name is empty"):
        kept.rename("monday", " ")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "sessions.sqlite").write_text("this is no database" * 99)
    with pytest.raises(StorageError, match="move it away, or name a --home"):
        Sessions(Workspace(home=tmp_path, cache=tmp_path))


def test_a_home_that_may_not_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("a file where the folder would be")
    with pytest.raises(StorageError, match="a --home that may be written to"):
        Sessions(Workspace(home=tmp_path, cache=tmp_path))


def test_the_command_line(workspace: Workspace, tmp_path: Path) -> None:
    talk(workspace, "monday", "hello")

    def call(*words: str) -> Any:
        done = CliRunner().invoke(main, ["sessions", *words, "--home", str(workspace.home), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    assert call("list")[0]["title"] == "hello"
    assert call("search", "HELLO")[0]["session"]["id"] == "monday"
    assert call("show", "monday")["lines"][0]["text"] == "hello"
    assert call("rename", "monday", "first day") == {"renamed": "monday", "title": "first day"}
    assert call("export", "monday", str(tmp_path / "x.md"))["path"] == str(tmp_path / "x.md")
    plain = CliRunner().invoke(main, ["sessions", "list", "--home", str(workspace.home)])
    assert "first day" in plain.stdout
    assert call("delete", "monday") == {"deleted": "monday"}
    gone = CliRunner().invoke(main, ["sessions", "show", "monday", "--home", str(workspace.home), "--json"])
    assert gone.exit_code == 2
    assert "layerwise sessions list" in json.loads(gone.stdout)["error"]["message"]


KILLED = """
import sys, time
from pathlib import Path
import pytest
from agent.chat import ChatSession
from agent.llm import LanguageModel
from agent.planner import Planner
from tests.fake_workflows import FakeWorkflows
from knowledge.runs import RunStore
from tools.workspace import Workspace
RunStore._save, RunStore.save = RunStore.save, lambda self, run: keep(self, run)

def keep(store, run):
    from knowledge.files import write_whole
    write_whole(store.folder(run.id) / "record.json", run.model_dump_json().encode())
    if run.kind == sys.argv[2] and sys.argv[3] == "after":  # its run is there, the conversation has not heard of it
        wait()

def wait():
    print("now", flush=True)
    time.sleep(60)

fake = FakeWorkflows()
if sys.argv[3] == "before":
    fake.before[{"analysis": "analyze", "train": "train"}[sys.argv[2]]] = lambda _: wait()
home = Path(sys.argv[1])
chat = ChatSession(LanguageModel(Planner(), "offline", "asked"), Workspace(home=home, cache=home), "monday", fake, "all")
for event in chat.stream(sys.argv[4]):
    pass
"""


@pytest.mark.parametrize(("kind", "when", "left"), [
    ("analysis", "before", ["analyze", "plan", "compress"]),
    ("analysis", "after", ["plan", "compress"]),
])  # fmt: skip
def test_killed_in_a_step_and_continued(
    workspace: Workspace, workflows: FakeWorkflows, kind: str, when: str, left: list[str]
) -> None:
    command = [sys.executable, "-c", KILLED, str(workspace.home), kind, when, WHOLE]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    if when == "after":  # run records know whole seconds, and the sample's is older than this conversation
        record = workspace.runs.get("analysis-3b3b3b")
        workspace.runs.save(
            record.model_copy(update={"created": record.created.fromtimestamp(time.time(), record.created.tzinfo)})
        )
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    events = talk(workspace, "monday", "continue")
    assert isinstance(events[-1], Answer)
    assert events[-1].grounded, events[-1].unsupported
    assert workflows.names == left
    assert workspace.runs.list(kind="compression", status="done")


def test_a_result_that_lay_beside_the_checkpoint_is_not_lost(workspace: Workspace, workflows: FakeWorkflows) -> None:
    """Two calls at once: the first has ended, the second has not when the process goes."""
    calls = [
        {"name": "list_capabilities", "args": {}, "id": "quick"},
        {"name": "evaluate_model", "args": {"model": "demo:minilm", "data": "demo:amazon"}, "id": "slow"},
    ]
    model = Scripted(steps=["unused"])
    chat = ChatSession(LanguageModel(model, "offline", "asked"), workspace, "monday")
    ask = {"messages": [HumanMessage("what is there? and evaluate"), AIMessage("", tool_calls=calls)]}
    chat._agent.update_state(chat._config, ask, as_node="model")
    for _ in chat._agent.stream(None, chat._config, durability="sync"):
        pass  # evaluate waits for approval
    state = chat._state()
    assert state.interrupts
    chat._repair()
    first, second = [m for m in chat._messages() if isinstance(m, ToolMessage)]
    assert (first.tool_call_id, first.status) == ("quick", "success")
    assert (second.tool_call_id, second.status) == ("slow", "error")
    chat.close()


def test_old_turns_are_summarised_and_their_runs_are_not_lost(workspace: Workspace, kept: Sessions) -> None:
    for run in story():
        workspace.runs.save(run)
    long = "and tell me about the layers of it, please " * 30
    steps: list[Any] = ["Fine (compression-5d5d5d)."] * 8
    model = Scripted(steps=steps)
    llm = LanguageModel(model, "ollama:scripted", "asked", context=6000)
    talk(
        workspace,
        "monday",
        f"look at compression-5d5d5d with demo:minilm {long}",
        *[f"{n} {long}" for n in range(6)],
        llm=llm,
    )
    model.steps[:] = [
        "They want minilm small.",
        ("show_run", {"run": "compression-5d5d5d"}),
        "It keeps 98.0 % (compression-5d5d5d).",
    ]
    model.seen.clear()
    chat = ChatSession(llm, workspace, "monday", approve="all")
    end = list(chat.stream(f"how good is it? {long}"))[-1]
    prompt, question = model.seen[0], model.seen[1]
    assert "Write a summary" in prompt[0].text
    summaries = [message for message in question if is_summary(message)]
    assert len(summaries) == 1
    assert "They want minilm small." in summaries[0].text
    assert "Runs so far: compression-5d5d5d" in summaries[0].text
    assert "Models named: demo:minilm" in summaries[0].text
    assert tokens_about(question) < 2000
    assert question[-1].text.startswith("how good is it?")
    assert isinstance(end, Answer)
    assert (end.grounded, end.facts[0].run) == (True, "compression-5d5d5d")
    assert len(chat.history()) == 16  # a reader still sees all
    assert not any("Here is a summary" in text for _, text in chat.history())
    chat.close()


def test_a_number_of_a_summary_is_no_fact(workspace: Workspace) -> None:
    workspace.runs.save(compression_run())
    model = Scripted(steps=["It had 77.7 % of something.", "It keeps 77.7 % (compression-5d5d5d)."])
    llm = LanguageModel(model, "ollama:scripted", "asked", context=2100)
    chat = ChatSession(llm, workspace, "monday", approve="all")
    old = [HumanMessage(f"compression-5d5d5d? {'many words ' * 300}"), AIMessage("yes")]
    chat._agent.update_state(chat._config, {"messages": old}, as_node="model")
    end = list(chat.stream("how good was it?"))[-1]
    assert any(is_summary(message) for message in chat._messages())
    assert isinstance(end, Answer)
    assert "77.7" not in end.text
    chat.close()


def test_a_summary_without_a_model_keeps_what_was_said(workspace: Workspace) -> None:
    model = Scripted(steps=[ConnectionError("gone"), "hello again"])
    chat = ChatSession(LanguageModel(model, "ollama:scripted", "asked", context=2100), workspace, "monday")
    old = [HumanMessage(f"plan-4c4c4c is mine {'many words ' * 300}"), AIMessage("yes")]
    chat._agent.update_state(chat._config, {"messages": old}, as_node="model")
    end = list(chat.stream("hello"))[-1]
    assert isinstance(end, Answer)
    (summary,) = [message for message in chat._messages() if is_summary(message)]
    assert "The user said: plan-4c4c4c is mine" in summary.text
    assert "Runs so far: plan-4c4c4c" in summary.text
    chat.close()


def test_nothing_was_started_twice(workspace: Workspace, workflows: FakeWorkflows) -> None:
    events = talk(workspace, "monday", "train minilm on the Amazon demo reviews", "continue")
    assert workflows.names == ["train"]  # "continue" after all is done
    assert len([event for event in events if isinstance(event, ToolStarted)]) == 1
