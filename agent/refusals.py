"""The answer to a tool call that the user did not want: what the model reads, and how it is told from a failure."""

from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

REFUSED = "layerwise_refused"  # key in the metadata of a ToolMessage; its value is the reason in the user's words


def refusal(call: Mapping[str, Any], reason: str = "") -> ToolMessage:
    """What stands where the result of the call would stand."""
    why = f": {reason}" if reason else ""
    text = (
        f"the user refused {call['name']}{why}. Nothing was done. Say so and what else is possible; do not call it again "
        "unless the user asks for it"
    )
    return ToolMessage(
        text,
        tool_call_id=str(call["id"]),
        name=str(call["name"]),
        status="error",
        response_metadata={REFUSED: reason},
    )


def is_refusal(message: BaseMessage) -> bool:
    return REFUSED in message.response_metadata


def reason_of(message: BaseMessage) -> str:
    """Why the user refused, in their words; empty where they gave no reason."""
    return str(message.response_metadata.get(REFUSED, ""))
