"""Chat in a terminal: answers on standard output, all else on standard error, exit codes that scripts can rely on."""

import io
import json
import signal
from pathlib import Path

import pytest

from agent import repl
from agent.approvals import Mode
from agent.llm import LanguageModel
from agent.settings import Settings
from analyzers.errors import BadTarget, LanguageModelError, UsageError
from analyzers.progress import Progress
from tests.agent.scripted import Scripted, Step
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tests.sample_runs import story
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]

TRAIN = "train minilm on the Amazon demo reviews"


@pytest.fixture
def workspace(tmp_path: Path, no_index: None, workflows: FakeWorkflows) -> Workspace:
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", ollama_base_url="http://127.0.0.1:9", openai_api_key=None)


class Chat:
    """Runs one chat and keeps its code and both outputs."""

    def __init__(self, settings: Settings, workspace: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
        self._settings, self._workspace, self._capfd = settings, workspace, capfd
        self.out = self.err = ""
        self.approve: Mode = "all"

    def __call__(self, once: str | None = None, *, as_json: bool = False, session: str | None = None) -> int:
        code = repl.chat(self._settings, self._workspace, "offline", session, once, as_json, self.approve)
        self.out, self.err = self._capfd.readouterr()
        return code


@pytest.fixture
def chat(settings: Settings, workspace: Workspace, capfd: pytest.CaptureFixture[str]) -> Chat:
    return Chat(settings, workspace, capfd)


def scripted(monkeypatch: pytest.MonkeyPatch, *steps: Step) -> None:
    model = LanguageModel(Scripted(steps=list(steps)), "ollama:scripted", "for a test")
    monkeypatch.setattr(repl, "choose", lambda *_: model)


def test_one_message_is_answered_on_standard_output(chat: Chat) -> None:
    assert chat(TRAIN) == 0
    assert chat.out.startswith("**Trained** demo:minilm on demo:amazon (train-2a2a2a)")
    assert chat.out.endswith("\n")
    for line in (
        "language model: the built-in planner, as asked",
        "• train_model model=demo:minilm data=demo:amazon",
        "  done: train-2a2a2a",
    ):
        assert line in chat.err.splitlines()
    assert "careful" not in chat.err


def test_progress_and_notes_go_to_standard_error(chat: Chat, workflows: FakeWorkflows) -> None:
    def work(progress: Progress) -> None:
        progress.say("downloading")
        for _ in progress.track(range(3), 3, "training"):
            print("a library that prints")

    workflows.before["train"] = work
    assert chat(TRAIN) == 0
    assert "downloading" in chat.err
    assert "a library that prints" in chat.err
    assert "a library that prints" not in chat.out


def test_json_is_one_document_and_nothing_else(chat: Chat) -> None:
    assert chat(TRAIN, as_json=True, session="monday") == 0
    document = json.loads(chat.out)
    answer = document.pop("answer")
    assert answer.startswith("**Trained**")
    first = document.pop("facts")[0]
    assert answer[first["start"] : first["end"]] == "89.9 % [87.1 to 92.5]"
    assert (first["run"], first["path"], first["value"]) == ("train-2a2a2a", "measurements[0].value", 0.899)
    assert document == {
        "session": "monday",
        "llm": "offline",
        "run_ids": ["train-2a2a2a"],
        "tools": [
            {
                "name": "train_model",
                "arguments": {"model": "demo:minilm", "data": "demo:amazon"},
                "status": "done",
                "run_id": "train-2a2a2a",
            }
        ],
        "grounded": True,
        "approval": None,
        "error": None,
    }
    assert "• train_model" in chat.err


def test_json_keeps_chinese_as_it_is(chat: Chat) -> None:
    assert chat("你好", as_json=True) == 0
    assert "你好" in chat.out
    assert json.loads(chat.out)["tools"] == []


def test_a_failed_step_is_exit_code_1(chat: Chat, workflows: FakeWorkflows) -> None:
    def fail(_: Progress) -> None:
        raise BadTarget("a ratio of 0 is no ratio; use 2")

    workflows.before["train"] = fail
    assert chat(TRAIN, as_json=True) == 1
    document = json.loads(chat.out)
    assert document["tools"][0]["status"] == "failed"
    assert "a ratio of 0 is no ratio; use 2" in document["answer"]
    assert "  failed: a ratio of 0 is no ratio; use 2" in chat.err.splitlines()


def test_ctrl_c_stops_with_exit_code_3(chat: Chat, workflows: FakeWorkflows) -> None:
    before = signal.getsignal(signal.SIGINT)

    def work(progress: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        progress._stop.wait(5)
        progress.check()

    workflows.before["train"] = work
    assert chat(TRAIN, as_json=True) == 3
    document = json.loads(chat.out)
    assert document["answer"] is None
    assert document["tools"][0]["status"] == "cancelled"
    assert document["error"].startswith("stopped; no run was finished")
    assert "stopping at the next tick" in chat.err
    assert signal.getsignal(signal.SIGINT) == before


def test_a_server_that_fails_is_exit_code_1(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, ConnectionError("refused"))
    assert chat("hello", as_json=True) == 1
    document = json.loads(chat.out)
    assert (document["answer"], document["grounded"], document["run_ids"]) == (None, None, [])
    assert "cannot be reached" in document["error"]
    assert chat("hello") == 1
    assert chat.out == ""
    assert "cannot be reached" in chat.err


def test_an_invented_number_is_withdrawn(chat: Chat, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for run in story():
        workspace.runs.save(run)
    scripted(monkeypatch, ("show_run", {"run": "compression-5d5d5d"}), "It is 4.2 times as fast (compression-5d5d5d).")
    assert chat("how fast is it?") == 0
    assert "4.2 times" not in chat.out.partition("The language model named")[2]
    assert "**1.87 [1.80 to 1.95] times as fast**" in chat.out
    assert "withdrawn, no measurement backs it: 4.2 in " in chat.err


def test_a_model_that_tries_again_has_not_failed(
    chat: Chat, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in story():
        workspace.runs.save(run)
    scripted(monkeypatch, ("show_run", {"run": "x"}), ("show_run", {"run": "plan-4c4c4c"}), "Here it is (plan-4c4c4c).")
    assert chat("show the plan", as_json=True) == 0
    assert [tool["status"] for tool in json.loads(chat.out)["tools"]] == ["failed", "done"]


def test_a_conversation_reads_lines_until_the_end(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"hello\n\n{TRAIN}\n"))
    assert chat(session="monday") == 0
    assert "Hello. I find out" in chat.out
    assert "**Trained**" in chat.out
    assert "go on with: layerwise chat --session monday" in chat.err


@pytest.mark.parametrize("word", ["exit", "QUIT", "再见"])
def test_a_word_to_leave(chat: Chat, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{word}\n{TRAIN}\n"))
    assert chat() == 0
    assert chat.out == ""
    assert "goodbye" in chat.err


def test_a_conversation_is_taken_up_again(chat: Chat) -> None:
    assert chat("train minilm", session="monday") == 0
    assert "Shall I take it?" in chat.out
    assert chat("yes", session="monday") == 0
    assert "train-2a2a2a" in chat.out


@pytest.mark.parametrize(
    ("message", "told"),
    [(TRAIN, "train_model waits for your approval"), ("用亚马逊演示评论训练 minilm", "train_model 正在等你批准")],
)
def test_how_to_approve_is_told_in_the_language_of_the_message(chat: Chat, message: str, told: str) -> None:
    chat.approve = "ask"
    assert chat(message, session="s") == 1
    assert told in chat.err
    assert "layerwise chat --session s --once" in chat.err


def test_json_needs_one_message(chat: Chat) -> None:
    with pytest.raises(UsageError, match="--once TEXT"):
        chat(as_json=True)


@pytest.mark.parametrize(
    ("llm", "says"), [("gpt-5", "allowed are"), ("ollama:m", "no Ollama answers"), ("openai:m", "OPENAI_API_KEY")]
)
def test_a_language_model_that_cannot_be_used(settings: Settings, workspace: Workspace, llm: str, says: str) -> None:
    with pytest.raises((UsageError, LanguageModelError), match=says):
        repl.chat(settings, workspace, llm, None, "hello", False)


def test_a_session_with_a_bad_name(settings: Settings, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="cannot name a session"):
        repl.chat(settings, workspace, "offline", "../up", "hello", False)
