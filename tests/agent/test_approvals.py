"""Steps that take long or delete wait: approved, changed, refused, asked again by another process, or settled by a flag."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.approvals import Mode
from agent.chat import ChatSession
from agent.events import Answer, ApprovalNeeded, Event, ToolFailed, ToolFinished, ToolNote, ToolRefused, ToolStarted
from agent.llm import LanguageModel
from agent.planner import Planner
from analyzers.errors import UsageError
from tests.agent.scripted import Scripted
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tests.sample_runs import train_run
from tools import workload
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]

TRAIN = "train minilm on the Amazon demo reviews"
PLANNER = LanguageModel(Planner(), "offline", "asked")
MODEL = {"model": "demo:minilm", "data": "demo:amazon"}


@pytest.fixture
def workspace(tmp_path: Path, no_index: None, workflows: FakeWorkflows, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(workload, "cpu", lambda: train_run().environment.cpu)
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def begin(workspace: Workspace) -> Iterator[Any]:
    opened = []

    def make(approve: Mode = "ask", llm: LanguageModel = PLANNER, **more: Any) -> ChatSession:
        opened.append(ChatSession(llm, workspace, "monday", approve=approve, **more))
        return opened[-1]

    yield make
    for session in opened:
        session.close()


def say(session: ChatSession, text: str) -> list[Event]:
    return list(session.stream(text))


def of(kind: type, events: list[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_a_step_of_unknown_length_waits_and_says_why(begin: Any, workflows: FakeWorkflows) -> None:
    session = begin()
    events = say(session, TRAIN)
    asked = events[-1]
    assert isinstance(asked, ApprovalNeeded)
    assert (asked.name, asked.arguments, asked.reason) == ("train_model", MODEL, "unknown")
    assert asked.decisions == ("approve", "change", "refuse")
    assert "not known: no such step has finished on this home yet" in asked.text
    assert of(ToolStarted, events) == []
    assert workflows.names == []
    events = list(session.decide("approve"))
    assert [type(event) for event in events if not isinstance(event, ToolNote)][:2] == [ToolStarted, ToolFinished]
    assert isinstance(events[-1], Answer)
    assert events[-1].grounded
    assert workflows.names == ["train"]
    assert session.pending() is None
    with pytest.raises(UsageError, match="no step waits for approval"):
        session.decide("approve")


def test_the_question_survives_the_process_and_names_the_runs_behind_its_estimate(
    begin: Any, workspace: Workspace, workflows: FakeWorkflows
) -> None:
    workspace.runs.save(train_run(run_id="train-earli2"))
    first = begin()
    asked = say(first, "用亚马逊演示评论训练 minilm")[-1]
    assert isinstance(asked, ApprovalNeeded)
    assert asked.reason == "long"
    assert asked.estimate is not None
    assert asked.estimate.seconds is not None
    assert (asked.estimate.seconds.value, asked.estimate.seconds.runs) == (183.5, ("train-earli2",))
    assert "约 3:04，依据 train-earli2" in asked.text
    first.close()
    workspace.runs.save(train_run(run_id="train-quick2", seconds=0.1))  # by now it would not be asked
    again = begin()
    assert again.pending() == asked
    assert say(again, "继续") == [asked]  # no decision: the question once more
    events = say(again, "不要，太久了")
    (refused,) = of(ToolRefused, events)
    assert refused.name == "train_model"
    assert workflows.names == []
    assert isinstance(events[-1], Answer)
    assert "没有运行 train_model" in events[-1].text
    assert "不要，太久了" in events[-1].text


def test_a_short_step_does_not_wait(begin: Any, workspace: Workspace, workflows: FakeWorkflows) -> None:
    workspace.runs.save(train_run(run_id="train-earli2"))
    assert isinstance(say(begin(ask_above=184), TRAIN)[-1], Answer)
    assert workflows.names == ["train"]


@pytest.mark.parametrize(
    ("text", "epochs"), [("epochs=1", 1), ("yes, but with 2 epochs", 2), ("改成 4 轮", 4), ("no, with 5 epochs", 5)]
)
def test_a_step_is_changed(begin: Any, workflows: FakeWorkflows, text: str, epochs: int) -> None:
    session = begin()
    say(session, TRAIN)
    events = say(session, text)
    assert [event.arguments for event in of(ToolStarted, events)] == [{**MODEL, "epochs": epochs}]
    assert [request.epochs for _, request in workflows.asked] == [epochs]  # type: ignore[attr-defined]
    assert isinstance(events[-1], Answer)


def test_a_change_that_the_tool_does_not_take_is_told_and_the_step_still_waits(
    begin: Any, workflows: FakeWorkflows
) -> None:
    session = begin()
    asked = say(session, TRAIN)[-1]
    for text, says in (("epochs=0", "greater than or equal to 1"), ("change it", "say what to change to what")):
        note, still = say(session, text)
        assert isinstance(note, ToolNote)
        assert says in note.text
        assert still == asked
    with pytest.raises(UsageError, match="has no argument 'coffee'"):
        session.decide("change", {"coffee": 1})
    assert session.pending() == asked
    assert workflows.names == []


def test_another_message_takes_the_step_back_and_is_answered(begin: Any, workflows: FakeWorkflows) -> None:
    session = begin()
    say(session, TRAIN)
    events = say(session, "which data sets are there?")
    assert [event.name for event in of(ToolRefused, events)] == ["train_model"]
    assert "demo:movie" in events[-1].text  # type: ignore[union-attr]
    assert session.pending() is None
    assert workflows.names == []


def test_yes_to_all_holds_for_the_turn(begin: Any, workflows: FakeWorkflows) -> None:
    session = begin()
    wish = f"{TRAIN}, then tell me which layers I can drop to make it twice as fast, and do it"
    assert isinstance(say(session, wish)[-1], ApprovalNeeded)
    assert of(ApprovalNeeded, say(session, "yes"))[0].name == "analyze_layers"  # yes is for one step
    end = say(session, "yes, all")[-1]
    assert workflows.names == ["train", "analyze", "plan", "compress"]
    assert isinstance(end, Answer)
    assert end.grounded, end.unsupported  # also of the runs before the questions
    assert "train-2a2a2a" in end.run_ids
    assert isinstance(say(session, "train minilm on the movie reviews")[-1], ApprovalNeeded)


def test_none_refuses_and_says_what_can_be_done(begin: Any, workflows: FakeWorkflows) -> None:
    events = say(begin("none"), TRAIN)
    assert [event.name for event in of(ToolRefused, events)] == ["train_model"]
    assert "--approve none" in events[-1].text  # type: ignore[union-attr]
    assert workflows.names == []


def test_there_are_three_ways_to_approve(begin: Any) -> None:
    with pytest.raises(UsageError, match="allowed are: ask, all, none"):
        begin("perhaps")


def test_a_run_is_deleted_only_when_named_and_approved(begin: Any, workspace: Workspace) -> None:
    for run in (train_run(), train_run(run_id="train-child2", parents=["train-2a2a2a"], model="train-2a2a2a")):
        workspace.runs.save(run)
    session = begin()
    assert of(ToolStarted, say(session, "delete all runs")) == []
    events = say(session, "delete train-2a2a2a")
    assert (
        "is what train-child2 came from; delete those first" in of(ToolFailed, events)[0].message
    )  # at once, nothing to approve
    asked = say(session, "delete train-2a2a2a anyway")[-1]
    assert isinstance(asked, ApprovalNeeded)
    assert (asked.reason, asked.dependants, asked.decisions) == ("deletes", ("train-child2",), ("approve", "refuse"))
    with pytest.raises(UsageError, match="cannot be answered by 'change'"):
        session.decide("change", {"run": "train-child2"})
    assert workspace.runs.folder("train-2a2a2a").is_dir()
    end = say(session, "yes")[-1]
    assert not workspace.runs.folder("train-2a2a2a").is_dir()
    assert workspace.runs.folder("train-child2").is_dir()
    assert "**Deleted** train-2a2a2a" in end.text  # type: ignore[union-attr]


def test_a_model_that_was_refused_reads_it_and_is_not_asked_again(begin: Any, workflows: FakeWorkflows) -> None:
    call = ("train_model", MODEL)
    model = Scripted(steps=[call, call, "Then I leave it."])
    session = begin(llm=LanguageModel(model, "ollama:scripted", "asked"))
    assert isinstance(say(session, TRAIN)[-1], ApprovalNeeded)
    events = say(session, "no, not today")
    assert "the user refused train_model: no, not today" in model.seen[1][-1].text
    assert len(of(ToolRefused, events)) == 2
    assert isinstance(events[-1], Answer)
    assert workflows.names == []


def test_a_model_reads_what_the_user_changed(begin: Any, workflows: FakeWorkflows) -> None:
    model = Scripted(steps=[("train_model", MODEL), "It is trained (train-2a2a2a)."])
    session = begin(llm=LanguageModel(model, "ollama:scripted", "asked"))
    say(session, TRAIN)
    assert isinstance(say(session, "epochs=1")[-1], Answer)
    assert model.seen[1][-1].text.startswith(
        '{"changed_by_the_user":{"model":"demo:minilm","data":"demo:amazon","epochs":1}'
    )
