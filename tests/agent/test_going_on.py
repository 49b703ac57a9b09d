"""A step whose process ended in the middle: found by the next one, and gone on with as it was approved."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.chat import ChatSession
from agent.events import Answer, ApprovalNeeded, ToolFinished, ToolRefused, ToolStarted
from agent.llm import LanguageModel
from agent.planner import Planner
from analyzers.errors import UsageError
from tests.agent.test_approvals import MODEL, TRAIN, of, say
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tests.sample_runs import train_run
from tools import workload
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]

PLANNER = LanguageModel(Planner(), "offline", "asked")


@pytest.fixture
def workspace(tmp_path: Path, no_index: None, workflows: FakeWorkflows, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(workload, "cpu", lambda: train_run().environment.cpu)
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def gone(workspace: Workspace, workflows: FakeWorkflows) -> Iterator[Any]:
    """Begins a step and never hears of its end, as a process that was killed; gives the session that comes after it."""
    opened: list[ChatSession] = []
    ended, under_way = threading.Event(), threading.Event()

    def make(decision: Any, **arguments: Any) -> ChatSession:
        def hang(_: Any) -> None:
            under_way.set()
            ended.wait(60)

        workflows.before["train"] = hang
        opened.append(ChatSession(PLANNER, workspace, "monday"))
        assert isinstance(say(opened[0], TRAIN)[-1], ApprovalNeeded)
        opened[0].decide(decision, arguments)
        assert under_way.wait(30)
        workflows.before.clear()
        opened.append(ChatSession(PLANNER, workspace, "monday"))
        return opened[-1]

    yield make
    ended.set()
    for session in opened:
        session.close()


@pytest.mark.parametrize(("decision", "changes"), [("approve", {}), ("change", {"epochs": 2})])
def test_a_step_is_taken_again_as_it_was_approved_and_the_turn_goes_on(
    gone: Any, workflows: FakeWorkflows, decision: str, changes: dict[str, Any]
) -> None:
    session = gone(decision, **changes)
    step = session.interrupted()
    assert (step.name, step.arguments) == ("train_model", {**MODEL, **changes})
    events = list(session.go_on())
    assert [event.arguments for event in of(ToolStarted, events)] == [{**MODEL, **changes}]
    assert len(of(ToolFinished, events)) == 1
    assert isinstance(events[-1], Answer)
    assert session.interrupted() is None
    assert session.pending() is None
    with pytest.raises(UsageError, match="no step was interrupted"):
        session.go_on()


@pytest.mark.parametrize(("decision", "changes"), [("approve", {}), ("change", {"epochs": 2})])
def test_what_finished_meanwhile_is_not_done_again(
    gone: Any, workspace: Workspace, workflows: FakeWorkflows, decision: str, changes: dict[str, Any]
) -> None:
    session = gone(decision, **changes)
    command = workflows.asked[0][1].command()
    workspace.runs.save(train_run(run_id="train-meanw2", command=command, created=session.interrupted().time))
    events = list(session.go_on())
    assert of(ToolStarted, events) == []
    assert of(ToolRefused, events) == []
    assert [event.run_id for event in of(ToolFinished, events)] == ["train-meanw2"]
    assert isinstance(events[-1], Answer)
    assert "train-meanw2" in events[-1].text
    assert workflows.names == ["train"]


def test_a_step_that_is_stopped_was_not_refused(workspace: Workspace, workflows: FakeWorkflows) -> None:
    session = ChatSession(PLANNER, workspace, "monday")
    workflows.before["train"] = lambda progress: (session.cancel(), progress.check())
    say(session, TRAIN)
    events = list(session.decide("approve"))
    assert of(ToolRefused, events) == []
    assert session.interrupted() is None
    session.close()
