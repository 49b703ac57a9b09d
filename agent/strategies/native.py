"""Tool calls by the protocol of the server."""

from langchain_core.messages import AIMessage

from agent.strategies.contract import Grade, Handler, Request, hidden, message_of
from agent.strategies.text import attempted, call_in, with_call


class NativeCalls:
    """Bind the tools and believe the message, unless it prints the call instead of making it.

    `streams`: tokens are shown as they come. For a model that was seen to call natively; the text of another may be a call.
    """

    name: Grade = "native"

    def __init__(self, streams: bool = True) -> None:
        self._streams = streams

    def next_step(self, request: Request, handler: Handler) -> AIMessage | None:
        try:
            message = message_of(handler(request if self._streams else hidden(request)))
        except Exception as problem:
            if cannot_call(problem):
                return None
            raise
        if message.tool_calls or message.invalid_tool_calls:
            return message
        if call := call_in(message.text, request.tools):
            return with_call(message, call)
        return None if attempted(message.text) or not message.text.strip() else message


def cannot_call(problem: Exception) -> bool:
    """Whether a server refused a request because it carries tools."""
    said = str(problem).lower()
    return "tool" in said and any(words in said for words in ("not support", "unsupported", "requires --jinja"))
