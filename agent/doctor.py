"""Grades a language model and its server: what it can do decides how Layerwise calls tools with it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from langchain.agents.middleware import ModelRequest, ModelResponse
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.tools import BaseTool

from agent.grades import Grade, Graded
from agent.llm import LanguageModel, explain, server_of
from agent.settings import Settings
from agent.strategies import CallsInText, NativeCalls, SchemaChoice, Strategy
from agent.strategies.contract import hidden, message_of, tokens_of
from agent.strategies.said import Said
from agent.strategies.text import call_in
from analyzers.records import Record
from tools.catalog import catalog
from tools.workspace import Workspace

SHOWN = ("train_model", "explain_method", "list_capabilities")  # tools of an empty home, few so that it is quick
CALL = "Train demo:minilm on demo:amazon"
SYSTEM = "You work through your tools. To greetings and small talk you answer in one sentence and call no tool."
GREETING = "Hello, nice to meet you!"


class Environment(Record):
    """The machine and the home, as far as they matter to Layerwise."""

    device: str
    threads: int
    home: str
    home_writable: bool
    runs: int
    index: str
    cache: str
    demo_assets: tuple[str, ...]


def grade(
    llm: LanguageModel, settings: Settings, workspace: Workspace, tell: Callable[[str], None] = lambda _: None
) -> Graded:
    """Try the language model out, with a handful of short calls.

    Args:
        llm: a language model behind a server; the built-in planner needs no grade.
        settings: the addresses.
        workspace: for the tools, none of which is run.
        tell: called with one line before each try.

    Raises:
        LanguageModelError: it cannot be reached or used at all.
    """
    started = time.perf_counter()
    tools = [tool for tool in catalog(workspace) if tool.name in SHOWN]
    trial = _Trial(llm, tools)
    try:
        tell("writing")
        written = trial.speed()
        tell("calling a tool by the server's protocol")
        native, printed = trial.native_call()
        tell("choosing under a JSON schema")
        held, read = trial.calls(SchemaChoice())
        tell("calling nothing on a greeting")
        strategy: Grade | None = None
        refrains = False
        if native:
            strategy, refrains = "native", trial.refrains(NativeCalls(streams=False))
        if held and not refrains:  # calling well and calling always are different things
            schema_refrains = trial.refrains(SchemaChoice())
            if strategy is None or schema_refrains:
                strategy, refrains = "schema", schema_refrains
        if strategy is None and printed:
            strategy, refrains = "text", trial.refrains(CallsInText())
    except Exception as problem:
        known = explain(problem, llm.name, llm.timeout)
        if known is None:
            raise
        raise known from None
    return Graded(
        llm=llm.name,
        server=server_of(llm.name, settings),
        created=datetime.now(UTC).replace(microsecond=0),
        strategy=strategy,
        native=native,
        text=printed,
        schema_held=held,
        refrains=refrains,
        context=context_of(llm, settings),
        context_set=llm.context,
        tokens_per_second=written,
        prompt_tokens_per_second=read,
        seconds=round(time.perf_counter() - started, 1),
    )


class _Trial:
    """One model, asked in the ways that a conversation asks."""

    def __init__(self, llm: LanguageModel, tools: list[BaseTool]) -> None:
        self._model = llm.model
        self._tools = tools

    def speed(self) -> float | None:
        """Tokens a second that it writes, as far as the server counts them. The first call also loads the model."""
        self._model.invoke([HumanMessage("Say yes.")])
        began = time.perf_counter()
        message = self._model.invoke([HumanMessage("Count from 1 to 12, separated by commas.")])
        return _rate(tokens_of(message, "output_tokens"), began)

    def native_call(self) -> tuple[bool, bool]:
        """Whether it calls by the protocol, and whether it at least prints the call."""
        request, handler = self._asked(CALL)
        try:
            message = message_of(handler(hidden(request).override(tools=[*self._tools[:1]])))
        except Exception as problem:
            if "tool" not in str(problem).lower():
                raise
            return False, False
        native = any(call["name"] == "train_model" for call in message.tool_calls)
        return native, native or call_in(message.text, self._tools) is not None

    def calls(self, strategy: Strategy) -> tuple[bool, float | None]:
        """Whether it makes the call that was asked for, and how many tokens a second it reads."""
        request, handler = self._asked(CALL)
        began = time.perf_counter()
        try:
            message = strategy.next_step(request, handler)
        except Exception as problem:
            if explain(problem, "") is None or _lost(problem):
                raise
            return False, None  # the server refuses the schema
        if message is None:
            return False, None
        made = [call["name"] for call in message.tool_calls] == ["train_model"]
        return made, _rate(tokens_of(message, "input_tokens"), began)

    def refrains(self, strategy: Strategy) -> bool:
        request, handler = self._asked(GREETING)
        message = strategy.next_step(request, handler)
        return message is not None and not message.tool_calls

    def _asked(self, text: str) -> tuple[ModelRequest[Any], Callable[[ModelRequest[Any]], ModelResponse[Any]]]:
        messages: list[Any] = [HumanMessage(text)]
        state: Any = {"messages": messages, "said": Said.of(messages, [])}
        request: ModelRequest[Any] = ModelRequest(
            model=self._model,
            messages=messages,
            system_prompt=SYSTEM,
            tools=[*self._tools],
            state=state,
        )
        return request, _handle


def _handle(request: ModelRequest[Any]) -> ModelResponse[Any]:
    """What an agent does with a request."""
    settings = request.model_settings
    bound = request.model.bind_tools(request.tools, **settings) if request.tools else request.model.bind(**settings)
    system: list[BaseMessage] = [request.system_message] if request.system_message else []
    return ModelResponse(result=[bound.invoke([*system, *request.messages])])


def _rate(tokens: int, began: float) -> float | None:
    return round(tokens / (time.perf_counter() - began), 1) if tokens else None


def _lost(problem: Exception) -> bool:
    known = explain(problem, "")
    return known is not None and ("cannot be reached" in str(known) or "did not answer" in str(known))


def context_of(llm: LanguageModel, settings: Settings) -> int | None:
    """The tokens that the model was made for, where its server tells; Ollama does."""
    if not llm.name.startswith("ollama:"):
        return None
    import httpx
    import ollama

    try:
        with ollama.Client(host=settings.ollama_base_url, timeout=10) as client:
            shown = client.show(llm.name.partition(":")[2])
    except (httpx.HTTPError, ollama.ResponseError, ConnectionError):
        return None
    lengths = [value for name, value in (shown.modelinfo or {}).items() if name.endswith(".context_length")]
    return int(lengths[0]) if lengths else None


def environment(workspace: Workspace) -> Environment:
    """Facts about machine and home. Loads torch for the device."""
    import os

    import torch

    from analyzers.models import pick_device
    from analyzers.references import DEMO_MODELS

    home = workspace.home
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    cache = workspace.cache
    return Environment(
        device=str(pick_device(workspace.device)),
        threads=workspace.threads or torch.get_num_threads(),
        home=str(home),
        home_writable=os.access(nearest, os.W_OK),
        runs=workspace.runs.count(),
        index="there" if (home / "index").exists() else "not built yet; the first search builds it",
        cache=str(cache),
        demo_assets=tuple(name for name in DEMO_MODELS if (cache / name).exists()),
    )


def verdict(llm: LanguageModel, graded: Graded | None) -> str:
    """One line: how well this will go, and what to do about it."""
    if graded is None:
        return "the built-in planner makes exact calls and needs no grade"
    if graded.strategy is None:
        return f"{llm.name} calls no tool in any way: choose another model, or --llm offline"
    careful = "" if graded.refrains else "; it calls tools on a greeting too: expect needless steps"
    return f"{llm.name} works by the strategy {graded.strategy}{careful}"
