"""A language model for tests: it says what it was given, one message a call."""

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

Step = str | tuple[str, dict[str, Any]] | Exception  # an answer, a tool call, or what goes wrong


class Scripted(BaseChatModel):
    """`seen` holds the messages of each call, `tools` those that were bound."""

    steps: list[Any]
    seen: list[list[BaseMessage]] = Field(default_factory=list)
    tools: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[dict[str, Any] | type | Callable[..., Any]], **kwargs: Any) -> "Scripted":
        self.tools = list(tools)
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.seen.append(list(messages))
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]  # the last one is repeated
        if isinstance(step, Exception):
            raise step
        if isinstance(step, str):
            message = AIMessage(step)
        else:
            name, arguments = step
            message = AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{len(self.seen)}"}])
        return ChatResult(generations=[ChatGeneration(message=message)])
