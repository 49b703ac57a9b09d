"""Calls without answers and answers without calls, at every place of a conversation."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent.history import mended


def call(*ids: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "look", "args": {}, "id": each} for each in ids])


def result(call_id: str) -> ToolMessage:
    return ToolMessage(f"result {call_id}", tool_call_id=call_id, name="look")


def lost(open_call: Mapping[str, Any]) -> ToolMessage:
    return ToolMessage("lost", tool_call_id=open_call["id"], name=open_call["name"], status="error")


def told(messages: list[BaseMessage] | None) -> list[str]:
    return [f"{m.type} {m.text or [each['id'] for each in m.tool_calls]}" for m in messages or []]  # type: ignore[attr-defined]


def test_a_whole_conversation_is_left_alone() -> None:
    whole = [HumanMessage("a"), call("1", "2"), result("2"), result("1"), AIMessage("b"), HumanMessage("c")]
    assert mended(whole, lost) is None
    assert mended([], lost) is None


def test_open_calls_are_answered_where_they_were_made() -> None:
    broken = [HumanMessage("a"), call("1", "2"), result("1"), HumanMessage("b"), AIMessage("c"), call("3")]
    assert told(mended(broken, lost)) == [
        "human a", "ai ['1', '2']", "tool result 1", "tool lost", "human b", "ai c", "ai ['3']", "tool lost",
    ]  # fmt: skip


def test_answers_stand_behind_their_call_and_those_of_no_call_are_left_out() -> None:
    broken = [result("0"), HumanMessage("a"), call("1"), HumanMessage("b"), result("1"), result("1")]
    assert told(mended(broken, lost)) == ["human a", "ai ['1']", "tool result 1", "human b"]


def test_an_id_that_a_server_uses_twice() -> None:
    twice = [HumanMessage("a"), call("1"), result("1"), AIMessage("b"), HumanMessage("c"), call("1")]
    assert told(mended(twice, lost))[-2:] == ["ai ['1']", "tool lost"]
