"""A choice that the server's grammar holds to a schema: steps out of {tool | ask | answer}, then the arguments of each tool.

The choice is a few words out of a list, so a model that cannot write a call can still make one; what a message
asks for is chosen once, at its start, since small models do not notice when they are done. Arguments that the
conversation settles are not asked for: run ids that exist, the model, the data and the size that the user wrote. What is
left is generated under the tool's own schema with those values as the only ones allowed.
"""

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import uuid4

import yaml
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage, merge_message_runs
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.tools import BaseTool

from agent.planner.answers import render
from agent.planner.memory import last_of_user
from agent.planner.retell import retell
from agent.strategies.arguments import json_schema, problem_of, tool_named
from agent.strategies.candidates import candidates, first_step
from agent.strategies.completing import ANSWER, ASK, CHOSEN, completed
from agent.strategies.contract import Grade, Handler, Request, hidden, message_of
from agent.strategies.said import Said, open_question
from agent.strategies.transcript import as_text, cut
from prompts import load

MOST = 3  # wishes in one message
_JOINTS = re.compile(r"\b(?:and|then)\b|[,;，；、]|然后|并|再|接着", re.IGNORECASE)
STEPS = "layerwise_steps"  # key in the metadata of a message: what is to follow its call
RECENT = 4  # earlier messages of the user that a choice is given
GOALS = (
    "train_model",
    "analyze_layers",
    "plan_compression",
    "compress_model",
    "evaluate_model",
    "export_model",
    "write_report",
    "list_runs",
    "search_runs",
    "show_run",
    "compare_runs",
    "explain_method",
    "list_capabilities",
)
LONGEST_SAID = 2000  # characters of a message
TRIES = 2  # arguments that the schema allows and the tool refuses: once more with the reason


class SchemaChoice:
    """Ask for the steps under a schema, then for the arguments of each, then for the words."""

    name: Grade = "schema"

    def next_step(self, request: Request, handler: Handler) -> AIMessage | None:
        said: Said = request.state["said"]  # type: ignore[typeddict-item]
        self._cost: UsageMetadata | None = None
        whole = request.state["messages"]  # those of the request are cut to what the model reads
        turn = whole[last_of_user(whole) :]
        if failed := _failed(turn):  # its arguments were tried twice: a model of this grade has no better idea
            text = render(
                said.language, "failed", tool=failed.name, message=failed.text, kept=said.made, rest=_left(turn) or ()
            )
            return AIMessage(text)
        steps = _left(turn)
        chosen: dict[str, Any] = {}
        if steps is None:
            steps = self._steps(request, handler, said)
            if steps is None:
                return None
            steps = completed(steps, whole)
            chosen = {CHOSEN: steps}
        if not steps or steps[0] in (ANSWER, ASK):
            # results are told by templates: a model of this grade gets the numbers right and what they mean wrong
            text = open_question(said) if steps[:1] == [ASK] else retell(turn, said.language)
            if text:
                return AIMessage(text, usage_metadata=self._cost, response_metadata=chosen)
            return self._words(request, handler, said, chosen)
        tool = tool_named(first_step(steps[0], said), request.tools)
        if tool is None:
            return None
        arguments = self._arguments(request, handler, tool, said)
        if arguments is None:
            return None
        call = {"name": tool.name, "args": arguments, "id": f"call-{uuid4().hex[:12]}"}
        left = steps[1:] if tool.name == steps[0] else steps
        return AIMessage("", tool_calls=[call], usage_metadata=self._cost, response_metadata={STEPS: left, **chosen})

    def _words(self, request: Request, handler: Handler, said: Said, chosen: dict[str, Any]) -> AIMessage | None:
        """Talk, where no tool was called."""
        language = "Chinese" if said.language == "zh" else "English"
        wanted = f"[Answer the user now, in {language}, in at most three sentences of plain words.]"
        message = message_of(handler(self._request(request, said, wanted)))
        if not message.text.strip():
            return None
        cost = add_usage(self._cost, message.usage_metadata)
        return message.model_copy(
            update={"usage_metadata": cost, "response_metadata": {**message.response_metadata, **chosen}}
        )

    def _steps(self, request: Request, handler: Handler, said: Said) -> list[str] | None:
        goals = [tool for tool in GOALS if tool_named(first_step(tool, said), request.tools)]
        allowed = [ANSWER, ASK, *goals]
        most = min(1 + len(_JOINTS.findall(said.text)), MOST)  # a second wish needs a word that joins it to the first
        items = {"type": "array", "items": {"enum": allowed}, "minItems": 1, "maxItems": most}
        schema = {
            "type": "object",
            "properties": {"steps": items},
            "required": ["steps"],
            "additionalProperties": False,
        }
        asked = hidden(request).override(
            tools=[],
            system_message=SystemMessage(load("choose.md")),
            messages=[*_examples(), *_choices(request.messages)],
        )
        found = self._json(asked, handler, schema)
        steps = found.get("steps") if found else None
        if not isinstance(steps, list) or not 0 < len(steps) <= most or any(step not in allowed for step in steps):
            return None
        return steps[:1] if steps[0] in (ANSWER, ASK) else [*dict.fromkeys(s for s in steps if s not in (ANSWER, ASK))]

    def _arguments(self, request: Request, handler: Handler, tool: BaseTool, said: Said) -> dict[str, Any] | None:
        schema = json_schema(tool)
        settled, open_ = candidates(tool.name, schema, said)
        if not open_:
            return settled
        asked = {"type": "object", "properties": open_, "required": list(open_), "additionalProperties": False}
        wanted = f"[The arguments of {tool.name}, from what the user said.]"
        for _ in range(TRIES):
            again = hidden(self._request(request, said, wanted))
            found = self._json(again, handler, {**asked, **_definitions(schema)})
            if found is None:
                return None
            arguments = {**settled, **{name: value for name, value in found.items() if value is not None}}
            if (problem := problem_of(tool, arguments)) is None:
                return arguments
            wanted = f"[The arguments of {tool.name}. Not accepted: {problem}.]"
        return arguments  # the tool says the reason once more, and the next step reads it

    def _json(self, asked: Request, handler: Handler, schema: dict[str, Any]) -> dict[str, Any] | None:
        form = {"type": "json_schema", "json_schema": {"name": "step", "schema": schema, "strict": True}}
        settings = {**asked.model_settings, "response_format": form}
        message = message_of(handler(asked.override(model_settings=settings)))
        self._cost = add_usage(self._cost, message.usage_metadata)
        try:
            found = json.loads(message.text)
        except ValueError:  # the server ignores schemas, or the answer was cut
            return None
        return found if isinstance(found, dict) else None

    def _request(self, request: Request, said: Said, wanted: str) -> Request:
        messages: list[Any] = [
            *as_text(request.messages, retold=said.language),
            HumanMessage(f"{_state(said)}\n{wanted}"),
        ]
        return request.override(
            tools=[],
            system_message=SystemMessage(load("words.md")),
            messages=[*merge_message_runs(messages)],  # type: ignore[list-item]  # some templates want turns
        )


@cache
def _examples() -> list[Any]:
    """Messages and choices as a conversation: small models follow what they seem to have done before."""
    told: list[Any] = []
    for message, *steps in yaml.safe_load(load("choices.yaml")):
        told += [HumanMessage(message), AIMessage(_choice(steps))]
    return told


def _choices(messages: Sequence[Any]) -> list[Any]:
    """The last messages of the user, each earlier one with what was chosen then."""
    told: list[Any] = []
    steps: list[str] | None = None
    for message in messages:
        if isinstance(message, HumanMessage):
            if told:
                told.append(AIMessage(_choice(steps or [ANSWER])))
            told.append(HumanMessage(cut(message.text, LONGEST_SAID)))
            steps = None
        elif isinstance(message, AIMessage) and steps is None:
            called = [call["name"] for call in message.tool_calls]
            steps = message.response_metadata.get(CHOSEN) or called or None
    return told[-2 * RECENT - 1 :]


def _choice(steps: Sequence[str]) -> str:
    return json.dumps({"steps": list(steps)})


def _state(said: Said) -> str:
    if not said.runs:
        return "[There are no runs yet.]"
    newest = [f"{run.id} of {run.model}" for run in said.runs[:6]]
    done = f" Done for this message: {', '.join(said.made)}." if said.made else ""
    return f"[Runs: {'; '.join(newest)}.{done}]"


def _left(turn: Sequence[Any]) -> list[str] | None:
    """The steps that the turn has still to take; None: they are to be chosen, at its start."""
    last = next((message for message in reversed(turn) if isinstance(message, AIMessage)), None)
    return last.response_metadata.get(STEPS) if last else None


def _failed(turn: Sequence[Any]) -> ToolMessage | None:
    last = turn[-1] if turn else None
    return last if isinstance(last, ToolMessage) and last.status == "error" else None


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$defs": schema["$defs"]} if "$defs" in schema else {}
