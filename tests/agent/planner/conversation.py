"""A conversation with the planner alone: the tools of the catalog on faked workflows, no agent, no thread."""

from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent.grounding import check, facts_of
from agent.planner import Planner
from analyzers.errors import LayerwiseError
from tools.catalog import catalog
from tools.workspace import Workspace


class Conversation:
    """`say` answers a message and keeps what happened: `calls` and `answer` of the last one, `messages` of all."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.planner = Planner()
        self.tools = {tool.name: tool for tool in catalog(workspace)}
        self.messages: list[BaseMessage] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answer = ""

    def say(self, text: str) -> str:
        self.messages.append(HumanMessage(text))
        self.calls = []
        for _ in range(20):
            reply = self.planner.invoke(self.messages)
            assert isinstance(reply, AIMessage)
            self.messages.append(reply)
            if not reply.tool_calls:
                self.answer = reply.text
                return self.answer
            for call in reply.tool_calls:
                self.calls.append((call["name"], call["args"]))
                self.messages.append(self._result(call))
        raise AssertionError("the planner does not come to an end")

    @property
    def names(self) -> list[str]:
        """The tools that the last message called."""
        return [name for name, _ in self.calls]

    def arguments(self, tool: str) -> dict[str, Any]:
        return next(arguments for name, arguments in self.calls if name == tool)

    def unsupported(self) -> list[str]:
        """Numbers of the last answer that no result of the conversation gives."""
        told = [message.text for message in self.messages if isinstance(message, ToolMessage)]
        return [f"{each.number} in {each.context!r}" for each in check(self.answer, facts_of(told)).unsupported]

    def _result(self, call: Any) -> ToolMessage:
        try:
            result = self.tools[call["name"]].invoke({**call, "type": "tool_call"})
        except LayerwiseError as error:
            return ToolMessage(str(error), tool_call_id=call["id"], name=call["name"], status="error")
        assert isinstance(result, ToolMessage)
        return result
