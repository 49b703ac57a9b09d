"""An answer whose numbers have no fact is asked for once more, and then replaced by what the tools found."""

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage

from agent.events import Answer, Withdrawn
from tests.agent.test_chat import events_of, of, scripted, workspace
from tests.fake_workflows import no_index, workflows
from tests.sample_runs import story
from tools.workspace import Workspace

__all__ = ["no_index", "scripted", "workflows", "workspace"]


@pytest.mark.parametrize(
    ("answer", "unsupported"),
    [
        ("It is 4.2 times as fast (compression-5d5d5d).", "4.2"),
        ("It keeps 99.1 % of the accuracy (compression-5d5d5d).", "99.1"),
        ("It is 1.87 times as fast (compression-zzzzzz).", "there is no run compression-zzzzzz"),
    ],
)
def test_an_invented_number_or_run_is_asked_for_once_more_and_then_retold(
    scripted, workspace: Workspace, answer: str, unsupported: str
) -> None:
    for run in story():
        workspace.runs.save(run)
    session, model = scripted(("show_run", {"run": "compression-5d5d5d"}), answer)
    events = events_of(session, "how fast is it?")
    (withdrawn,) = of(Withdrawn, events)
    assert any(unsupported in each for each in withdrawn.unsupported)
    assert unsupported in model.seen[-1][-1].text  # the model is told what failed
    end = events[-1]
    assert isinstance(end, Answer)
    assert end.grounded
    assert answer not in end.text
    assert "**1.87 [1.80 to 1.95] times as fast**" in end.text
    assert session.history()[-1] == ("assistant", end.text)


def test_a_second_try_that_is_right_is_the_answer(scripted, workspace: Workspace) -> None:
    workspace.runs.save(story()[-1])
    right = "It is 1.87 times as fast (compression-5d5d5d)."
    session, model = scripted(("show_run", {"run": "compression-5d5d5d"}), "It is 18.7 times as fast.", right)
    events = events_of(session, "how fast is it?")
    assert len(of(Withdrawn, events)) == 1
    assert events[-1].text == right
    assert [said for who, said in session.history() if who == "assistant"] == [right]
    assert len(model.seen) == 3
    assert [type(message) for message in model.seen[-1][-2:]] == [AIMessage, HumanMessage]


def test_a_model_that_is_gone_at_the_second_try_is_replaced_by_the_planner(scripted, workspace: Workspace) -> None:
    workspace.runs.save(story()[-1])
    call = ("show_run", {"run": "compression-5d5d5d"})
    session, _ = scripted(call, "速度是 18.7 倍。", httpx.ConnectError("connection refused"))
    end = events_of(session, "有多快？")[-1]
    assert isinstance(end, Answer)
    assert end.grounded
    assert "**1.87 [1.80 至 1.95] 倍**" in end.text


def test_numbers_without_any_tool_are_not_shown(scripted) -> None:
    session, _ = scripted("Removing 3 layers costs 1.2 % accuracy.")
    events = events_of(session, "what does it cost?")
    assert len(of(Withdrawn, events)[0].unsupported) == 2
    assert "1.2" not in events[-1].text
    assert "no tool found anything" in events[-1].text
