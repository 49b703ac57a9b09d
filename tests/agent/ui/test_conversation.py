"""A conversation that goes on whoever looks, without a page: messages that wait, stop, decisions, what goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent.events import Answer, Event, Stopped
from agent.ui.conversation import LONGEST, Conversation
from agent.ui.transcript import Decided, Notice, Question, Reply, Said, Transcript
from analyzers.errors import LanguageModelError, UsageError
from tests.agent.ui.test_transcript import ASKED


class Talk:
    """Stands for a ChatSession: it answers a message when it is let go, and a question is asked by "ask"."""

    def __init__(self) -> None:
        self.go, self.cancelled, self.said = threading.Event(), threading.Event(), list[Any]()
        self.problem: Exception | None = None

    def stream(self, text: str) -> Iterator[Event]:
        self.said.append(text)
        if self.problem:
            raise self.problem
        while not self.go.wait(0.01):
            if self.cancelled.is_set():
                yield Stopped(message="stopped", run_ids=())
                return
        yield ASKED if text == "ask" else Answer(text=f"answer to {text}", run_ids=(), grounded=True)

    def again(self, text: str, said: str, later: int) -> Iterator[Event]:
        self.said.append((text, said, later))
        yield Answer(text=f"answer to {text}", run_ids=(), grounded=True)

    def decide(self, decision: str, arguments: Any, rest: bool) -> Iterator[Event]:
        self.said.append((decision, arguments, rest))
        if self.problem:
            raise self.problem
        yield Answer(text="decided", run_ids=(), grounded=True)

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        pass


@pytest.fixture
def talk() -> Talk:
    return Talk()


@pytest.fixture
def conversation(talk: Talk) -> Iterator[Conversation]:
    opened = Conversation("chat-x", lambda: talk, Transcript())  # type: ignore[arg-type, return-value]
    yield opened
    talk.go.set()
    until(lambda: not opened.busy)


def until(true: Callable[[], Any]) -> None:
    limit = time.monotonic() + 20
    while not true():
        assert time.monotonic() < limit, "it never came"
        time.sleep(0.01)


def shown(conversation: Conversation) -> list[str]:
    return [getattr(item, "text", type(item).__name__) for item in conversation.transcript.items]


def test_a_second_message_waits_and_is_answered_after_the_first(conversation: Conversation, talk: Talk) -> None:
    conversation.send("one")
    conversation.send("two")
    assert conversation.busy
    talk.go.set()
    until(lambda: not conversation.busy)
    assert shown(conversation) == ["one", "answer to one", "two", "answer to two"]


def test_stop_ends_the_turn_and_keeps_what_waits_unsent(conversation: Conversation, talk: Talk) -> None:
    conversation.send("one")
    conversation.send("two")
    until(lambda: talk.said)
    conversation.stop()
    until(lambda: not conversation.busy)
    assert talk.said == ["one"]
    (kept,) = [item for item in conversation.transcript.items if isinstance(item, Said) and item.state == "kept"]
    conversation.drop(kept.id)
    conversation.drop(kept.id)  # of another window that shows it still
    assert "two" not in shown(conversation)


def test_what_waits_does_not_answer_a_question(conversation: Conversation, talk: Talk) -> None:
    conversation.send("ask")
    conversation.send("and a report")
    talk.go.set()
    until(lambda: not conversation.busy)
    assert talk.said == ["ask"]
    conversation.decide("change", {"epochs": 1})
    until(lambda: len(talk.said) == 3)
    assert talk.said[1:] == [("change", {"epochs": 1}, False), "and a report"]
    until(lambda: not conversation.busy)
    assert [type(item) for item in conversation.transcript.items] == [Said, Question, Decided, Reply, Said, Reply]
    with pytest.raises(UsageError, match="no step waits"):
        conversation.decide("approve")


@pytest.mark.parametrize(
    "problem", [UsageError("it has no argument x"), LanguageModelError("gone"), ZeroDivisionError()]
)
def test_a_decision_that_does_not_arrive_leaves_the_question_open(
    conversation: Conversation, talk: Talk, problem: Exception
) -> None:
    conversation.send("ask")
    talk.go.set()
    until(lambda: not conversation.busy)
    talk.problem = problem
    conversation.decide("approve")
    until(lambda: not conversation.busy)
    *_, notice, question = conversation.transcript.items
    assert isinstance(notice, Notice)
    assert str(problem) in notice.text
    assert isinstance(question, Question)
    assert question.open


def test_a_message_is_answered_again_and_what_followed_is_gone(conversation: Conversation, talk: Talk) -> None:
    talk.go.set()
    for text in ("one", "two", "two"):
        conversation.send(text)
        until(lambda: not conversation.busy)
    first = next(item for item in conversation.transcript.items if getattr(item, "text", "") == "two")
    conversation.again(first.id, "three")
    until(lambda: not conversation.busy)
    assert talk.said[-1] == ("three", "two", 1)
    assert shown(conversation) == ["one", "answer to one", "three", "answer to three"]
    with pytest.raises(UsageError, match="say it anew"):
        conversation.again(first.id, "three")


def test_nothing_is_answered_again_while_a_message_is(conversation: Conversation) -> None:
    conversation.send("one")
    with pytest.raises(UsageError, match="still being answered"):
        conversation.again(conversation.transcript.items[0].id, "one")
    assert shown(conversation) == ["one"]


@pytest.mark.parametrize("text", ["", " \n ", "x" * (LONGEST + 1)])
def test_a_message_that_cannot_be_read_is_refused_and_nothing_was_said(conversation: Conversation, text: str) -> None:
    with pytest.raises(UsageError):
        conversation.send(text)
    assert shown(conversation) == []
    assert not conversation.busy
