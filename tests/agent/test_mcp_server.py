"""The Model Context Protocol, in this process and over standard input and output."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.shared.memory import create_connected_server_and_client_session as connected

from agent.mcp_server import create_server
from analyzers.errors import Cancelled
from analyzers.progress import Progress
from tests.fake_workflows import FakeWorkflows
from tests.sample_runs import story
from tools.catalog import catalog
from tools.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    for run in story():
        made.runs.save(run)
    return made


def talk(workspace: Workspace, conversation: Callable[[ClientSession], Any], workflows: Any = None) -> Any:
    async def run() -> Any:
        async with connected(create_server(workspace, workflows or FakeWorkflows())) as client:
            return await conversation(client)

    return anyio.run(run)


def test_the_tools_are_those_of_the_catalogue(workspace: Workspace):
    async def conversation(client: ClientSession) -> Any:
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in talk(workspace, conversation)}
    known = {tool.name: tool for tool in catalog(workspace)}
    assert list(tools) == list(known)
    assert tools["plan_compression"].inputSchema == known["plan_compression"].args_schema.model_json_schema()
    hints = {name: tool.annotations for name, tool in tools.items() if tool.annotations}
    assert [name for name, hint in hints.items() if hint.destructiveHint] == ["delete_run"]
    assert {name for name, hint in hints.items() if hint.readOnlyHint} == {
        *("list_runs", "search_runs", "show_run", "compare_runs", "explain_method", "list_capabilities")
    }


def test_a_call_is_answered_as_text_and_as_values(workspace: Workspace):
    async def conversation(client: ClientSession) -> Any:
        shown = await client.call_tool("show_run", {"run": "plan-4c4c4c"})
        made = await client.call_tool("evaluate_model", {"model": "compression-5d5d5d", "data": "demo:movie"})
        return shown, made

    workflows = FakeWorkflows()
    shown, made = talk(workspace, conversation, workflows)
    assert shown.structuredContent["result"]["remove"] == [1, 2, 3]
    assert json.loads(shown.content[0].text) == shown.structuredContent
    assert made.structuredContent["run"] == "evaluation-6e6e6e"
    assert workflows.names == ["evaluate"]


@pytest.mark.parametrize(
    ("tool", "arguments", "message"),
    [
        ("show_run", {"run": "plan-zzzzzz"}, "no run 'plan-zzzzzz'; the newest are"),
        ("plan_compression", {"analysis": "analysis-3b3b3b"}, "0 targets were given"),
        ("list_runs", {"kind": "cake"}, "kind 'cake' is not allowed"),
        ("show_run", {}, "run is missing"),
        ("delete_run", {"run": "train-2a2a2a"}, "is what"),
        ("bake", {}, "no tool 'bake'; there are: train_model"),
    ],
)
def test_a_failure_is_told_in_one_message(workspace: Workspace, tool: str, arguments: dict[str, Any], message: str):
    async def conversation(client: ClientSession) -> Any:
        return await client.call_tool(tool, arguments)

    answer = talk(workspace, conversation)
    assert answer.isError
    assert answer.content[0].text.startswith(message) or message in answer.content[0].text
    assert "\n" not in answer.content[0].text


def test_progress_is_told_to_who_asks_for_it(workspace: Workspace):
    def work(progress: Progress) -> None:
        for _ in progress.track(range(3), 3, "counting"):
            pass

    workflows = FakeWorkflows()
    workflows.before["evaluate"] = work
    heard: list[tuple[float, str | None]] = []

    async def conversation(client: ClientSession) -> Any:
        async def hear(done: float, total: float | None, text: str | None) -> None:
            heard.append((done, text))

        wanted = {"model": "compression-5d5d5d", "data": "demo:movie"}
        await client.call_tool("evaluate_model", wanted)  # does not ask
        assert heard == []
        await client.call_tool("evaluate_model", wanted, progress_callback=hear)

    talk(workspace, conversation, workflows)
    assert heard == [(n + 1, f"counting: {n} of 3") for n in range(4)]


def test_a_call_that_is_cancelled_ends_its_workflow(workspace: Workspace):
    began: list[bool] = []
    stopped: list[bool] = []

    def work(progress: Progress) -> None:
        began.append(True)
        try:
            for _ in progress.track(range(2000), 2000, "counting"):
                time.sleep(0.005)
        except Cancelled:
            stopped.append(True)
            raise

    workflows = FakeWorkflows()
    workflows.before["evaluate"] = work

    async def call(client: ClientSession) -> None:
        with pytest.raises(McpError, match="cancelled"):
            await client.call_tool("evaluate_model", {"model": "compression-5d5d5d", "data": "demo:movie"})

    async def conversation(client: ClientSession) -> Any:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, client)
            await until(lambda: began)
            cancelled = types.CancelledNotificationParams(requestId=1)  # the first after the greeting
            await client.send_notification(types.ClientNotification(types.CancelledNotification(params=cancelled)))
        await until(lambda: stopped)
        return await client.call_tool("list_runs", {"kind": "plan"})  # it goes on answering

    assert not talk(workspace, conversation, workflows).isError
    assert stopped == [True]


async def until(true: Callable[[], Any]) -> None:
    with anyio.fail_after(10):
        while not true():
            await anyio.sleep(0.02)


def test_over_standard_input_and_output(workspace: Workspace):
    words = ["-m", "agent.cli", "mcp", "--home", str(workspace.home)]
    command = StdioServerParameters(
        command=sys.executable, args=words, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )

    async def conversation() -> Any:
        async with stdio_client(command) as (read, write), ClientSession(read, write) as client:
            began = await client.initialize()
            return began, await client.call_tool("list_runs", {"limit": 2})

    began, answer = anyio.run(conversation)
    assert began.serverInfo.name == "layerwise"
    assert [run["run"] for run in answer.structuredContent["runs"]] == ["compression-5d5d5d", "plan-4c4c4c"]
