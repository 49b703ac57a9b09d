"""LangChain's `create_agent` with the same tools and the same model, and nothing of ours around it: what to compare with."""

from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware, ToolCallLimitMiddleware, ToolErrorMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent.evaluation.cases import Made
from agent.llm import LanguageModel, explain
from agent.strategies.calling import MODEL_CALLS, TOOL_CALLS
from prompts import load
from tools.catalog import catalog
from tools.workspace import Workspace


class PlainAgent:
    """A conversation that holds its messages itself."""

    def __init__(self, llm: LanguageModel, workspace: Workspace, workflows: Any) -> None:
        self._llm = llm
        self._messages: list[Any] = []
        limits: list[Any] = [
            ModelCallLimitMiddleware(run_limit=MODEL_CALLS),
            ToolCallLimitMiddleware(run_limit=TOOL_CALLS),
            ToolErrorMiddleware(lambda error, _: str(error)),
        ]
        self._agent = create_agent(
            llm.model,
            catalog(workspace, workflows=workflows),
            system_prompt=load("system.md"),
            middleware=limits,
        )

    def say(self, text: str) -> tuple[list[Made], str]:
        self._messages.append(HumanMessage(text))
        before = len(self._messages)
        try:
            self._messages = self._agent.invoke({"messages": self._messages})["messages"]
        except Exception as problem:
            if known := explain(problem, self._llm.name):
                return [], str(known)
            raise
        new = self._messages[before:]
        failed = {m.tool_call_id for m in new if isinstance(m, ToolMessage) and m.status == "error"}
        made = [
            Made(call["name"], call["args"], call["id"] in failed)
            for message in new
            if isinstance(message, AIMessage)
            for call in message.tool_calls
        ]
        return made, self._messages[-1].text

    def tokens(self) -> int:
        return tokens_of(self._messages)

    def close(self) -> None:
        """Nothing is kept open."""


def tokens_of(messages: Sequence[Any]) -> int:
    """Tokens that the model read and wrote for these messages."""
    used = [message.usage_metadata for message in messages if isinstance(message, AIMessage)]
    return sum(each["total_tokens"] for each in used if each)
