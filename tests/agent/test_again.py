"""A message that is answered again, or changed: the answer after it is replaced, and nothing finished is done twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.chat import ChatSession
from agent.events import Answer, ApprovalNeeded, ToolFinished, ToolStarted
from tests.agent.test_chat import PLANNER
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]

TRAIN = "train minilm on the Amazon demo reviews"


@pytest.fixture
def workspace(tmp_path: Path, no_index: None, workflows: FakeWorkflows) -> Workspace:
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def chat(workspace: Workspace) -> Iterator[ChatSession]:
    session = ChatSession(PLANNER, workspace, "monday", approve="all")
    yield session
    session.close()


def said(chat: ChatSession) -> list[str]:
    return [text for who, text in chat.history() if who == "user"]


def test_the_last_answer_is_replaced_and_its_run_is_not_made_twice(chat: ChatSession, workflows: FakeWorkflows) -> None:
    list(chat.stream("hello"))
    first = list(chat.stream(TRAIN))[-1]
    again = list(chat.again(TRAIN, TRAIN))
    assert len(workflows.asked) == 1
    assert not [each for each in again if isinstance(each, ToolStarted)]
    assert [each.run_id for each in again if isinstance(each, ToolFinished)] == ["train-2a2a2a"]
    assert isinstance(again[-1], Answer)
    assert again[-1].text == first.text
    assert len(again[-1].facts) == len(first.facts) > 0
    assert said(chat) == ["hello", TRAIN]
    assert [who for who, _ in chat.history()] == ["user", "assistant"] * 2
    list(chat.again(TRAIN, TRAIN))  # and once more
    assert len(workflows.asked) == 1


def test_a_run_that_was_deleted_is_made_again(
    chat: ChatSession, workflows: FakeWorkflows, workspace: Workspace
) -> None:
    list(chat.stream(TRAIN))
    workspace.runs.delete("train-2a2a2a")
    list(chat.again(TRAIN, TRAIN))
    assert len(workflows.asked) == 2


def test_a_changed_message_takes_the_place_of_the_first(chat: ChatSession, workflows: FakeWorkflows) -> None:
    list(chat.stream(TRAIN))
    list(chat.again(f"{TRAIN} for 2 epochs", TRAIN))
    assert [request.epochs for _, request in workflows.asked][1:] == [2]
    assert said(chat) == [f"{TRAIN} for 2 epochs"]


def test_an_earlier_one_of_the_same_words_is_found_and_what_followed_goes(chat: ChatSession) -> None:
    for text in ("hello", "what is SHAP?", "hello"):
        list(chat.stream(text))
    list(chat.again("which methods are there?", "hello", 1))
    assert said(chat) == ["which methods are there?"]
    list(chat.again("hello", "never said"))  # as a new one
    assert said(chat) == ["which methods are there?", "hello"]


def test_a_question_that_waits_goes_with_its_message_also_after_a_restart(
    workspace: Workspace, workflows: FakeWorkflows
) -> None:
    asking = ChatSession(PLANNER, workspace, "monday")
    assert isinstance(list(asking.stream(TRAIN))[-1], ApprovalNeeded)
    asking.close()
    after = ChatSession(PLANNER, workspace, "monday")
    assert isinstance(list(after.again("hello", TRAIN))[-1], Answer)
    assert after.pending() is None
    assert isinstance(list(after.stream(TRAIN))[-1], ApprovalNeeded)
    assert isinstance(list(after.decide("approve"))[-1], Answer)
    after.close()
    once_more = ChatSession(PLANNER, workspace, "monday")
    assert isinstance(list(once_more.again(TRAIN, TRAIN))[-1], Answer)  # what is done needs no approval
    assert len(workflows.asked) == 1
    once_more.close()
