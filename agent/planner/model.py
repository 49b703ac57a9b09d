"""The planner as a LangChain chat model."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agent.planner.decide import decide
from agent.planner.memory import METADATA
from agent.planner.turn import Call


class Planner(BaseChatModel):
    """Reads goals and values by tables, calls tools, answers by templates. The same messages give the same answer."""

    @property
    def _llm_type(self) -> str:
        return "layerwise-planner"

    def bind_tools(
        self, tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the signature is LangChain's
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResult:
        text, call, metadata = self._next(messages)
        calls = [{"name": call[1].tool, "args": call[1].arguments, "id": call[0]}] if call else []
        message = AIMessage(text, tool_calls=calls, response_metadata=metadata)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the signature is LangChain's
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> Iterator[ChatGenerationChunk]:
        text, call, metadata = self._next(messages)
        for piece in re.findall(r"\S+\s*|\s+", text):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece))
            if run_manager:
                run_manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk
        if call:
            arguments = json.dumps(call[1].arguments, ensure_ascii=False)
            called = tool_call_chunk(name=call[1].tool, args=arguments, id=call[0], index=0)
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[called]))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", response_metadata=metadata, chunk_position="last"))

    def _next(self, messages: list[BaseMessage]) -> tuple[str, tuple[str, Call] | None, dict[str, Any]]:
        step, frame = decide(messages)
        if isinstance(step, Call):
            made = sum(isinstance(message, ToolMessage) for message in messages)
            metadata = {METADATA: frame.model_dump(mode="json", exclude_defaults=True)} if frame else {}
            return "", (f"call-{made + 1}", step), metadata
        kept = step.frame.model_dump(mode="json", exclude_defaults=True) if step.frame else {}
        return step.text, None, {METADATA: kept}
