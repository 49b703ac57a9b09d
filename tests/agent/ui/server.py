"""The page in a process of its own, with fake workflows in real jobs: python -m tests.agent.ui.server HOME PORT [USER:PASSWORD ...].

The language model does what it is told: `call TOOL {...}` calls the tool, `stream WORDS` says them slowly, `fail` is a
server that is gone; everything else goes to the built-in planner.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGenerationChunk

from agent import llm
from agent.llm import LanguageModel
from agent.planner import Planner
from agent.planner.turn import Call
from agent.quiet import without_stubs
from agent.settings import Settings
from analyzers.errors import LanguageModelError
from tests.fake_jobs import COMMAND
from tests.sample_runs import train_run
from tools import workload
from tools.jobs import processes

GONE = "ollama:gone cannot be reached; start the server, or choose another: --llm offline"


class Obedient(Planner):
    """The planner, with a few words of command."""

    def _next(self, messages: list[BaseMessage]) -> tuple[str, tuple[str, Call] | None, dict[str, Any]]:
        word, _, rest = _last(messages).partition(" ")
        if word == "fail":
            raise LanguageModelError(GONE)
        if word == "stream":
            return rest, None, {}
        if word != "call":
            return super()._next(messages)
        if isinstance(messages[-1], ToolMessage):
            return f"The tool said: {messages[-1].text[:80]}", None, {}
        name, _, arguments = rest.partition(" ")
        return "", (f"call-{len(messages)}", Call(name, json.loads(arguments))), {}

    def _stream(self, messages: list[BaseMessage], *words: Any, **named: Any) -> Iterator[ChatGenerationChunk]:
        for chunk in super()._stream(messages, *words, **named):
            time.sleep(0.1 if _last(messages).startswith("stream ") else 0)
            yield chunk


def _last(messages: list[BaseMessage]) -> str:
    return next(message.text for message in reversed(messages) if isinstance(message, HumanMessage))


def main(home: Path, port: int, auth: tuple[str, ...]) -> None:
    with without_stubs():
        from agent.ui import serve
    processes.COMMAND = COMMAND
    workload.cpu = lambda: train_run().environment.cpu
    choose = llm.choose
    llm.choose = lambda name, settings: (
        LanguageModel(Obedient(), "offline", "for tests") if name == "offline" else choose(name, settings)
    )
    settings = Settings(home=home, cache=home / "cache", llm="offline")
    serve.serve(settings, settings.workspace(), port=port, auth=auth)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3:]))
