"""The messages of a conversation as every language model takes them: each tool call has its answer, right behind it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage


def mended(
    messages: Sequence[BaseMessage], answer: Callable[[Mapping[str, Any]], ToolMessage]
) -> list[BaseMessage] | None:
    """The messages with an answer to each call; None where nothing is to be mended.

    A process that was killed leaves calls open, at the end or, where the conversation went on, in the middle. Answers that
    belong to no call are left out: servers reject both.

    Args:
        messages: of a conversation, the oldest first.
        answer: what stands for the result of a call that has none.
    """
    whole: list[BaseMessage] = []
    waiting: dict[str, tuple[int, Mapping[str, Any]]] = {}  # id of a call -> the place of its message, and the call
    results: dict[int, list[BaseMessage]] = {}  # place -> the answers to its calls
    for message in messages:
        if isinstance(message, ToolMessage):
            if place := waiting.pop(message.tool_call_id, None):
                results[place[0]].append(message)
            continue
        whole.append(message)
        if isinstance(message, AIMessage) and message.tool_calls:
            place_of_it = len(whole) - 1
            results[place_of_it] = []
            waiting |= {str(call["id"]): (place_of_it, call) for call in message.tool_calls}
    for place_of_it, call in waiting.values():
        results[place_of_it].append(answer(call))
    found = [each for place, message in enumerate(whole) for each in (message, *results.get(place, []))]
    same = len(found) == len(messages) and all(one is other for one, other in zip(found, messages, strict=True))
    return None if same else found
