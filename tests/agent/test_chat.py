"""A conversation as a stream of events: with the planner, and with language models that do all sorts of things."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent.chat import MODEL_CALLS, ChatSession
from agent.events import (
    Answer,
    Event,
    Failed,
    Stopped,
    Text,
    ToolFailed,
    ToolFinished,
    ToolNote,
    ToolProgress,
    ToolStarted,
)
from agent.llm import LanguageModel
from agent.planner import Planner
from analyzers.errors import BadTarget, Cancelled, LayerwiseError, StorageError, UsageError
from analyzers.progress import Progress
from tests.agent.scripted import Scripted, Step
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tests.sample_runs import story
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]

WHOLE = (
    "Train minilm on the Amazon demo reviews, then tell me which layers I can drop to make it twice as fast, and do it"
)
WORK = ["train_model", "analyze_layers", "plan_compression", "compress_model"]
PLANNER = LanguageModel(Planner(), "offline", "asked")


@pytest.fixture
def workspace(tmp_path: Path, no_index: None, workflows: FakeWorkflows) -> Workspace:
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def chat(workspace: Workspace) -> Iterator[ChatSession]:
    session = ChatSession(PLANNER, workspace, "monday", approve="all")
    yield session
    session.close()


@pytest.fixture
def scripted(workspace: Workspace) -> Iterator:
    """Makes a session with a language model that follows a script."""
    sessions = []

    def make(*steps: Step) -> tuple[ChatSession, Scripted]:
        model = Scripted(steps=list(steps))
        sessions.append(ChatSession(LanguageModel(model, "ollama:scripted", "asked"), workspace, approve="all"))
        return sessions[-1], model

    yield make
    for session in sessions:
        session.close()


def events_of(session: ChatSession, text: str) -> list[Event]:
    return list(session.stream(text))


def of(kind: type, events: list[Event]) -> list:
    return [event for event in events if isinstance(event, kind)]


def test_the_main_job_runs_through(chat: ChatSession, workflows: FakeWorkflows) -> None:
    events = events_of(chat, WHOLE)
    assert [event.name for event in of(ToolStarted, events)] == WORK
    arguments = [event.arguments for event in of(ToolStarted, events)]
    assert arguments == [
        {"model": "demo:minilm", "data": "demo:amazon"},
        {"model": "train-2a2a2a", "data": "demo:amazon"},
        {"analysis": "analysis-3b3b3b", "ratio": 2},
        {"plan": "plan-4c4c4c"},
    ]
    assert [event.run_id for event in of(ToolFinished, events)] == [run.id for run in story()]
    assert workflows.names == ["train", "analyze", "plan", "compress"]
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert set(answer.run_ids) == {run.id for run in story()}
    assert answer.unsupported == ()
    assert answer.grounded
    assert "1.87 [1.80 to 1.95]" in answer.text
    assert "".join(event.text for event in of(Text, events)) == answer.text


def test_each_tool_is_started_before_it_ends(chat: ChatSession) -> None:
    events = [event for event in events_of(chat, WHOLE) if isinstance(event, ToolStarted | ToolFinished)]
    assert [type(event) for event in events] == [ToolStarted, ToolFinished] * 4
    assert [event.call_id for event in events[::2]] == [event.call_id for event in events[1::2]]


@pytest.mark.parametrize("text", ["hello", "谢谢", "don't train anything", "what's the weather?", "how do I train?"])
def test_small_talk_calls_no_tool(chat: ChatSession, text: str) -> None:
    events = events_of(chat, text)
    assert of(ToolStarted, events) == []
    assert isinstance(events[-1], Answer)
    assert events[-1].run_ids == ()


def test_progress_of_a_tool_becomes_events(chat: ChatSession, workflows: FakeWorkflows) -> None:
    def work(progress: Progress) -> None:
        progress.say("downloading")
        for _ in progress.track(range(4), 4, "training"):
            pass

    workflows.before["train"] = work
    events = events_of(chat, "train minilm on amazon")
    assert [event.text for event in of(ToolNote, events)] == ["downloading"]
    ticks = of(ToolProgress, events)
    assert (ticks[0].done, ticks[0].fraction, ticks[0].seconds_left) == (0, 0.0, None)
    assert (ticks[-1].step, ticks[-1].done, ticks[-1].total, ticks[-1].fraction) == ("training", 4, 4, 1.0)


def test_a_failing_tool_is_told_and_what_was_finished_stays(chat: ChatSession, workflows: FakeWorkflows) -> None:
    def fail(_: Progress) -> None:
        raise BadTarget("the ratio 2 is above what 1 layer allows; keep at least one")

    workflows.before["plan"] = fail
    events = events_of(chat, WHOLE)
    (failed,) = of(ToolFailed, events)
    assert failed.name == "plan_compression"
    assert failed.message == "the ratio 2 is above what 1 layer allows; keep at least one"
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert failed.message in answer.text
    assert {"train-2a2a2a", "analysis-3b3b3b"} <= set(answer.run_ids)
    assert answer.grounded
    assert workflows.names == ["train", "analyze", "plan"]


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(28, "No space left on device"), KeyError()])
def test_an_error_of_a_library_is_one_line(chat: ChatSession, workflows: FakeWorkflows, error: Exception) -> None:
    def fail(_: Progress) -> None:
        raise error

    workflows.before["train"] = fail
    events = events_of(chat, "train minilm on amazon")
    (failed,) = of(ToolFailed, events)
    assert failed.message.startswith(type(error).__name__)
    assert "Traceback" not in failed.message
    assert isinstance(events[-1], Answer)


def stop_in(workflows: FakeWorkflows, chat: ChatSession, name: str) -> None:
    """The user cancels while the workflow is at work, which ends at its next tick."""

    def work(progress: Progress) -> None:
        chat.cancel()
        progress.check()

    workflows.before[name] = work


def test_cancel_in_the_middle_keeps_what_was_finished(chat: ChatSession, workflows: FakeWorkflows) -> None:
    stop_in(workflows, chat, "analyze")
    events = events_of(chat, WHOLE)
    stopped = events[-1]
    assert isinstance(stopped, Stopped)
    assert stopped.run_ids == ("train-2a2a2a",)
    assert 'finished and kept: train-2a2a2a; say "continue" to go on' in stopped.message
    assert workflows.names == ["train", "analyze"]


def test_continue_goes_on_where_it_was_stopped(chat: ChatSession, workflows: FakeWorkflows) -> None:
    stop_in(workflows, chat, "analyze")
    events_of(chat, WHOLE)
    workflows.before.clear()
    workflows.asked.clear()
    events = events_of(chat, "continue")
    assert [event.name for event in of(ToolStarted, events)] == WORK[1:]
    assert isinstance(events[-1], Answer)
    assert events[-1].grounded
    assert workflows.asked[0][1].model == "train-2a2a2a"


def test_a_stopped_turn_leaves_no_call_without_an_answer(chat: ChatSession, workflows: FakeWorkflows) -> None:
    stop_in(workflows, chat, "train")
    assert of(Stopped, events_of(chat, "train minilm on amazon"))[0].run_ids == ()
    called = {call["id"] for message in chat._messages() for call in getattr(message, "tool_calls", [])}
    answered = {message.tool_call_id for message in chat._messages() if isinstance(message, ToolMessage)}
    assert called
    assert called == answered


def test_a_workflow_that_was_stopped_elsewhere_ends_the_turn(chat: ChatSession, workflows: FakeWorkflows) -> None:
    def stopped(_: Progress) -> None:
        raise Cancelled("its process was ended")

    workflows.before["analyze"] = stopped
    end = events_of(chat, WHOLE)[-1]
    assert isinstance(end, Stopped)
    assert end.run_ids == ("train-2a2a2a",)
    assert isinstance(events_of(chat, "hello")[-1], Answer)


def test_a_cancelled_turn_does_not_cancel_the_next(chat: ChatSession, workflows: FakeWorkflows) -> None:
    chat.cancel()  # nothing is under way
    assert isinstance(events_of(chat, "train minilm on amazon")[-1], Answer)


def test_whoever_leaves_the_stream_stops_the_work(chat: ChatSession, workflows: FakeWorkflows) -> None:
    stopped = threading.Event()

    def work(progress: Progress) -> None:
        progress.say("at work")
        for _ in range(500):
            if progress._stop.wait(0.02):
                stopped.set()
            progress.check()

    workflows.before["train"] = work
    stream = chat.stream("train minilm on amazon")
    while not isinstance(next(stream), ToolNote):
        pass
    stream.close()
    assert stopped.wait(5)


def test_a_conversation_is_continued_by_a_new_session(chat: ChatSession, workspace: Workspace) -> None:
    events_of(chat, "train minilm on the Amazon demo reviews")
    events_of(chat, "which layers can I drop to make it twice as fast?")
    chat.close()
    again = ChatSession(PLANNER, workspace, "monday", approve="all")
    events = events_of(again, "do it")
    assert [event.arguments for event in of(ToolStarted, events)] == [{"plan": "plan-4c4c4c"}]
    assert [who for who, _ in again.history()] == ["user", "assistant"] * 3
    assert again.history()[4] == ("user", "do it")
    again.close()
    other = ChatSession(PLANNER, workspace, "tuesday")
    assert other.history() == []
    other.close()


def test_dangling_calls_of_a_killed_process_are_answered(chat: ChatSession, workspace: Workspace) -> None:
    call = {"name": "train_model", "args": {"model": "m", "data": "d"}, "id": "lost"}
    chat._agent.update_state(chat._config, {"messages": [HumanMessage("train"), AIMessage("", tool_calls=[call])]})
    chat.close()
    again = ChatSession(PLANNER, workspace, "monday", approve="all")
    assert isinstance(events_of(again, "hello")[-1], Answer)
    answers = [message for message in again._messages() if isinstance(message, ToolMessage)]
    assert [(message.tool_call_id, message.status) for message in answers] == [("lost", "error")]
    again.close()


def test_one_message_at_a_time(chat: ChatSession, workflows: FakeWorkflows) -> None:
    go = threading.Event()
    workflows.before["train"] = lambda _: go.wait(5) and None
    stream = chat.stream("train minilm on amazon")
    try:
        with pytest.raises(UsageError, match="still being answered"):
            chat.stream("hello")
    finally:
        go.set()
    assert isinstance(list(stream)[-1], Answer)
    assert isinstance(events_of(chat, "hello")[-1], Answer)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_message_is_wrong_use(chat: ChatSession, text: str) -> None:
    with pytest.raises(UsageError, match="the message is empty"):
        chat.stream(text)


@pytest.mark.parametrize("name", ["../up", "a b", "-x", "x" * 65, "a/b"])
def test_a_session_has_a_plain_name(workspace: Workspace, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a session"):
        ChatSession(PLANNER, workspace, name)


def test_a_session_gets_a_name(workspace: Workspace) -> None:
    session = ChatSession(PLANNER, workspace)
    assert session.id.startswith("chat-")
    session.close()


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(StorageError, match="name a --home that may be written to"):
        ChatSession(PLANNER, Workspace(home=tmp_path / "home", cache=tmp_path))


def test_a_language_model_calls_tools_and_is_believed_where_it_cites(scripted, workspace: Workspace) -> None:
    for run in story():
        workspace.runs.save(run)
    session, model = scripted(("show_run", {"run": "compression-5d5d5d"}), "It keeps 98.0 % (compression-5d5d5d).")
    events = events_of(session, "how good is it?")
    assert [event.name for event in of(ToolFinished, events)] == ["show_run"]
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert answer.text == "It keeps 98.0 % (compression-5d5d5d)."
    assert (answer.run_ids, answer.grounded) == (("compression-5d5d5d",), True)
    (fact,) = answer.facts
    assert (fact.number, fact.value, fact.low, fact.high) == ("98.0 %", 0.98, 0.959, 1.002)
    assert (fact.run, fact.path) == ("compression-5d5d5d", "measurements[13].value")
    system, question = model.seen[0]
    assert "Write a number only when a tool result" in system.text
    assert question.text == "how good is it?"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (("train_model", {"model": "m"}), "data"),
        (("plan_compression", {"analysis": "analysis-3b3b3b"}), "exactly one of --ratio"),
        (("make_coffee", {}), "make_coffee"),
        (("show_run", {"run": "plan-zzzzzz"}), "no run 'plan-zzzzzz'"),
    ],
)
def test_a_model_reads_what_was_wrong_with_its_call(scripted, call: Step, says: str) -> None:
    session, model = scripted(call, "I could not do that.")
    events = events_of(session, "train m, or plan for ratio 2")
    assert says in of(ToolFailed, events)[0].message
    assert says in model.seen[1][-1].text
    assert isinstance(events[-1], Answer)


def test_a_server_that_is_down_is_one_line(scripted) -> None:
    session, _ = scripted(httpx.ConnectError("connection refused"), "back again")
    end = events_of(session, "hello")[-1]
    assert isinstance(end, Failed)
    assert "ollama:scripted cannot be reached" in end.message
    assert events_of(session, "hello again")[-1].text == "back again"


def test_a_fault_of_ours_reaches_the_reader(scripted) -> None:
    session, _ = scripted(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        events_of(session, "hello")


def test_an_error_of_ours_ends_the_turn(scripted) -> None:
    session, _ = scripted(LayerwiseError("no; do this"))
    assert events_of(session, "hello")[-1] == Failed(message="no; do this")


def test_an_empty_answer_is_a_failure(scripted) -> None:
    session, _ = scripted("")
    end = events_of(session, "hello")[-1]
    assert isinstance(end, Failed)
    assert "gave no answer" in end.message


def test_a_model_that_never_ends_is_stopped(scripted, workflows: FakeWorkflows) -> None:
    session, model = scripted(("list_runs", {}))
    events = events_of(session, "hello")
    assert len(model.seen) <= MODEL_CALLS
    assert isinstance(events[-1], Answer | Failed)
    model.steps[:] = ["fine"]
    assert events_of(session, "and now?")[-1].text == "fine"
