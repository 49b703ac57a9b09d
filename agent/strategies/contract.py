"""What a way of calling tools has to do."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain_core.messages import AIMessage

from agent.grades import Grade

Request = ModelRequest[Any]
Handler = Callable[[Request], ModelResponse[Any]]

HIDDEN = ["nostream"]  # LangGraph's tag for calls whose tokens no user is to see


__all__ = ["Grade", "Handler", "Request", "Strategy", "hidden", "message_of", "tokens_of"]


class Strategy(Protocol):
    """One way to ask a model for its next step."""

    name: Grade

    def next_step(self, request: Request, handler: Handler) -> AIMessage | None:
        """The model's message with its tool calls filled in; None where this way leads to nothing and the next is due.

        Raises:
            what the model's library raises.
        """


def message_of(response: ModelResponse[Any]) -> AIMessage:
    """The message of a model call."""
    return next(message for message in reversed(response.result) if isinstance(message, AIMessage))


def hidden(request: Request) -> Request:
    """The request with a model whose tokens are not shown while they come."""
    tags = [*(request.model.tags or []), *HIDDEN]
    return request.override(model=request.model.model_copy(update={"tags": tags}))


def tokens_of(
    message: AIMessage, what: Literal["input_tokens", "output_tokens", "total_tokens"] = "total_tokens"
) -> int:
    """Tokens that a call took, as the server counted them; 0 where it did not."""
    return message.usage_metadata[what] if message.usage_metadata else 0
