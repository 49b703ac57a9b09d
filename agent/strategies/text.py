"""Tool calls that a model prints: `<tool_call>`, a fenced block, or a bare object.

Small models know which call they want and write it where nothing executes it. Such a call is taken only if its name is
that of a shown tool and its arguments pass the tool's own schema, so that JSON that is quoted stays text.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

from langchain_core.messages import AIMessage, SystemMessage

from agent.strategies.arguments import problem_of, tool_named
from agent.strategies.contract import Grade, Handler, Request, hidden, message_of
from agent.strategies.transcript import as_text, described
from prompts import load

_TAGGED = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|\Z)", re.DOTALL)
_FENCED = re.compile(r"```(?:json|tool_call|tool)?\s*\n?(\{.*?\})\s*```", re.DOTALL)
_NAMES = ("name", "tool", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input")


class PrintedCall(NamedTuple):
    name: str
    arguments: dict[str, Any]


class CallsInText:
    """Describe the tools in the system message, and read the call from the answer."""

    name: Grade = "text"

    def next_step(self, request: Request, handler: Handler) -> AIMessage | None:
        system = f"{request.system_prompt or ''}\n\n{load('calls_in_text.md')}\n{described(request.tools)}"
        asked = hidden(request).override(
            tools=[], system_message=SystemMessage(system), messages=as_text(request.messages)
        )
        message = message_of(handler(asked))
        if call := call_in(message.text, request.tools):
            return with_call(message, call)
        return None if attempted(message.text) or not message.text.strip() else message


def call_in(text: str, tools: Sequence[Any]) -> PrintedCall | None:
    """The first call in the text that one of the tools would accept."""
    for found in _objects(text):
        call = _as_call(found)
        if call and (tool := tool_named(call.name, tools)) and problem_of(tool, call.arguments) is None:
            return call
    return None


def attempted(text: str) -> bool:
    """Whether the text is a call that went wrong rather than an answer: broken JSON, no such tool, bad arguments."""
    if "<tool_call>" in text or any(_as_call(found) for found in _objects(text)):
        return True
    start = text.strip().removeprefix("```json").removeprefix("```").strip()
    return start.startswith("{") and any(f'"{name}"' in start for name in (*_NAMES, *_ARGUMENTS))


def with_call(message: AIMessage, call: PrintedCall) -> AIMessage:
    """The message as if the server had carried the call; what it cost stays with it."""
    made = {"name": call.name, "args": call.arguments, "id": f"call-{uuid4().hex[:12]}"}
    return AIMessage("", tool_calls=[made], usage_metadata=message.usage_metadata, id=message.id)


def _as_call(found: dict[str, Any]) -> PrintedCall | None:
    nested = found.get("function")
    inner: dict[str, Any] = nested if isinstance(nested, dict) else found
    name = next((inner[key] for key in _NAMES if isinstance(inner.get(key), str)), None)
    arguments = next((inner[key] for key in _ARGUMENTS if key in inner), None)
    if isinstance(arguments, str):
        arguments = _parsed(arguments)
    return PrintedCall(name, arguments) if name and isinstance(arguments, dict) else None


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that stand where a call stands: in a tag, in a fence, or bare at either end of the text."""
    for pattern in (_TAGGED, _FENCED):
        for match in pattern.finditer(text):
            if (found := _parsed(match[1])) is not None:
                yield found
    bare = text.strip()
    if bare.startswith("{"):
        try:
            found, _ = json.JSONDecoder().raw_decode(bare)
        except ValueError:
            found = None
        if isinstance(found, dict):
            yield found
    elif bare.endswith("}"):
        for start in re.finditer(r"\{", bare):
            if (found := _parsed(bare[start.start() :])) is not None:
                yield found
                return


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
