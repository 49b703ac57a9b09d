"""The tools of the chat for other programs, by the Model Context Protocol over standard input and output.

They are those of `tools.catalog`: a new tool appears here by itself. A workflow is a job, as in the chat: its progress is
told to who asks for it, and it ends when the call is cancelled.
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from importlib.metadata import version
from io import TextIOWrapper
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from langchain_core.tools import BaseTool
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from agent.narratives import templates
from agent.quiet import output_kept_for_results
from analyzers.progress import Progress
from tools.catalog import WORKFLOWS, catalog
from tools.failures import not_allowed, told, unexpected
from tools.jobs import JobWorkflows
from tools.workspace import Workspace

ABOUT = (
    "Layerwise finds out which layers of a transformer can be removed, proves it by measuring, and makes the smaller model: "
    "train_model, analyze_layers, plan_compression, compress_model, in this order. Those take minutes, and what is finished "
    "is kept when they are cancelled."
)
WRITES = (*WORKFLOWS, "write_report", "delete_run")
DELETES = ("delete_run",)

_progress: ContextVar[Progress] = ContextVar("progress of the call")


def serve(workspace: Workspace) -> None:
    """Answer on standard output until standard input ends. What libraries print goes to standard error.

    Args:
        workspace: where the tools read and write.
    """
    answers = TextIOWrapper(os.fdopen(os.dup(sys.stdout.fileno()), "wb"), encoding="utf-8")
    with output_kept_for_results():
        server = create_server(workspace, JobWorkflows(workspace))

        async def run() -> None:
            async with stdio_server(stdout=anyio.wrap_file(answers)) as (asked, answered):
                await server.run(asked, answered, server.create_initialization_options())

        anyio.run(run)


def create_server(workspace: Workspace, workflows: Any) -> Server[Any, Any]:
    """The server, without a way in or out.

    Args:
        workspace: where the tools read and write.
        workflows: what runs the workflows, such as `JobWorkflows`.
    """
    server: Server[Any, Any] = Server("layerwise", version=version("layerwise"), instructions=ABOUT)
    tools = {tool.name: tool for tool in catalog(workspace, _progress.get, workflows, templates(workspace.runs))}

    async def listed() -> list[types.Tool]:
        return [_described(tool) for tool in tools.values()]

    async def called(name: str, arguments: dict[str, Any]) -> types.CallToolResult:
        if name not in tools:
            return _failed(f"no tool {name!r}; there are: {', '.join(tools)}")
        context = server.request_context
        token = context.meta.progressToken if context.meta else None
        tell = None if token is None else partial(context.session.send_progress_notification, token)
        progress = _ToldProgress(tell)
        _progress.set(progress)
        try:
            # Left alone when the call is cancelled: it ends by itself once the job has ended.
            return await anyio.to_thread.run_sync(_result, tools[name], arguments, abandon_on_cancel=True)
        except anyio.get_cancelled_exc_class():
            progress.cancel()
            raise

    server.list_tools()(listed)
    server.call_tool(validate_input=False)(called)  # the tool does, and says better what is allowed
    return server


class _ToldProgress(Progress):
    """Progress of one call, told to the client where it asked for it. Runs in the thread of the tool."""

    def __init__(self, tell: Callable[..., Any] | None) -> None:
        super().__init__()
        self._tell = tell
        self._told = 0

    def started(self, step: str, total: int) -> None:
        self.say(f"{step}: 0 of {total}")

    def advanced(self, step: str, done: int, total: int) -> None:
        self.say(f"{step}: {done} of {total}")

    def say(self, text: str) -> None:
        if self._tell is None or self._stop.is_set():
            return
        self._told += 1  # how many steps there will be is not known
        with suppress(RuntimeError, anyio.ClosedResourceError, anyio.BrokenResourceError):  # nobody listens any more
            anyio.from_thread.run(self._tell, self._told, None, text)


def _described(tool: BaseTool) -> types.Tool:
    schema: Any = tool.args_schema
    return types.Tool(
        name=tool.name,
        description=tool.description,
        inputSchema=schema.model_json_schema(),
        annotations=types.ToolAnnotations(
            readOnlyHint=tool.name not in WRITES,
            destructiveHint=tool.name in DELETES,
            idempotentHint=tool.name not in WRITES,
            openWorldHint=False,
        ),
    )


def _result(tool: BaseTool, arguments: dict[str, Any]) -> types.CallToolResult:
    try:
        message = tool.invoke({"type": "tool_call", "id": tool.name, "name": tool.name, "args": arguments})
    except Exception as problem:  # noqa: BLE001 (whatever it is, the client is to read it)
        return _failed(not_allowed(problem) or told(problem)[1] or unexpected(problem))
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=message.content)], structuredContent=json.loads(message.content)
    )


def _failed(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)], isError=True)
