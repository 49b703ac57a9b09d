"""A choice that the server's grammar holds to a schema: steps out of {tool | ask | answer}, then the arguments of each tool.

The choice is a few words out of a list, so a model that cannot write a call can still make one; all steps of a message are
chosen at once, since small models do not notice when they are done. Arguments that the
conversation settles are not asked for: run ids that exist, the model, the data and the size that the user wrote. What is
left is generated under the tool's own schema with those values as the only ones allowed.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage, merge_message_runs
from langchain_core.messages.ai import UsageMetadata, add_usage
from langchain_core.tools import BaseTool

from agent.planner.retell import retell
from agent.strategies.arguments import json_schema, problem_of, tool_named
from agent.strategies.candidates import candidates, first_step
from agent.strategies.contract import Grade, Handler, Request, hidden, message_of
from agent.strategies.said import Said
from agent.strategies.transcript import as_text
from prompts import load

ASK, ANSWER = "ask", "answer"
LEFT_TO_WORDS = ("show_run", "compare_runs", "search_runs")
STEPS = "layerwise_steps"  # key in the metadata of a message: what is to follow its call
LONGEST = 4  # steps of one message
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
TRIES = 2  # arguments that the schema allows and the tool refuses: once more with the reason


class SchemaChoice:
    """Ask for the steps under a schema, then for the arguments of each, then for the words."""

    name: Grade = "schema"

    def next_step(self, request: Request, handler: Handler) -> AIMessage | None:
        said: Said = request.state["said"]  # type: ignore[typeddict-item]
        self._cost: UsageMetadata | None = None
        turn = _turn(request.messages)
        steps = _left(turn)
        if steps is None:
            steps = self._steps(request, handler, said)
        if steps is None:
            return None
        if not steps or steps[0] == ANSWER:
            return self._words(request, handler, said, "Answer the user now", retell(turn, said.language))
        if steps[0] == ASK:
            return self._words(request, handler, said, "Ask the user for the one thing that is missing", "")
        tool = tool_named(first_step(steps[0], said), request.tools)
        if tool is None:
            return None
        arguments = self._arguments(request, handler, tool, said)
        if arguments is None:
            return None
        call = {"name": tool.name, "args": arguments, "id": f"call-{uuid4().hex[:12]}"}
        left = steps[1:] if tool.name == steps[0] else steps
        return AIMessage("", tool_calls=[call], usage_metadata=self._cost, response_metadata={STEPS: left})

    def _words(self, request: Request, handler: Handler, said: Said, wanted: str, told: str) -> AIMessage | None:
        """The end of a turn.

        Where the results of the turn are the answer (work that was done, a list, a note, a report) they are told as they
        are; what a run measured answers many questions, so that is left to the model.
        """
        names = {message.name for message in _turn(request.messages) if isinstance(message, ToolMessage)}
        if told and not names & set(LEFT_TO_WORDS):
            return AIMessage(told, usage_metadata=self._cost)
        language = "Chinese" if said.language == "zh" else "English"
        wanted = f"[{wanted}, in {language}, in at most three sentences of plain words.]"
        message = message_of(handler(self._request(request, said, wanted, quiet=False)))
        if not message.text.strip():
            return None
        return message.model_copy(update={"usage_metadata": add_usage(self._cost, message.usage_metadata)})

    def _steps(self, request: Request, handler: Handler, said: Said) -> list[str] | None:
        goals = [tool for tool in GOALS if tool_named(first_step(tool, said), request.tools)]
        allowed = [ANSWER, ASK, *goals]
        schema = {
            "type": "object",
            "properties": {"steps": {"type": "array", "items": {"enum": allowed}, "minItems": 1, "maxItems": LONGEST}},
            "required": ["steps"],
            "additionalProperties": False,
        }
        found = self._json(request, handler, said, "[Choose the steps.]", schema)
        steps = found.get("steps") if found else None
        if not isinstance(steps, list) or not steps or any(step not in allowed for step in steps):
            return None
        return list(dict.fromkeys(steps))

    def _arguments(self, request: Request, handler: Handler, tool: BaseTool, said: Said) -> dict[str, Any] | None:
        schema = json_schema(tool)
        settled, open_ = candidates(tool.name, schema, said)
        if not open_:
            return settled
        asked = {"type": "object", "properties": open_, "required": list(open_), "additionalProperties": False}
        wanted = f"[The arguments of {tool.name}, from what the user said.]"
        for _ in range(TRIES):
            found = self._json(request, handler, said, wanted, {**asked, **_definitions(schema)})
            if found is None:
                return None
            arguments = {**settled, **{name: value for name, value in found.items() if value is not None}}
            if (problem := problem_of(tool, arguments)) is None:
                return arguments
            wanted = f"[The arguments of {tool.name}. Not accepted: {problem}.]"
        return arguments  # the tool says the reason once more, and the next step reads it

    def _json(
        self, request: Request, handler: Handler, said: Said, wanted: str, schema: dict[str, Any]
    ) -> dict[str, Any] | None:
        form = {"type": "json_schema", "json_schema": {"name": "step", "schema": schema, "strict": True}}
        asked = self._request(request, said, wanted, quiet=True)
        message = message_of(
            handler(asked.override(model_settings={**request.model_settings, "response_format": form}))
        )
        self._cost = add_usage(self._cost, message.usage_metadata)
        try:
            found = json.loads(message.text)
        except ValueError:  # the server ignores schemas, or the answer was cut
            return None
        return found if isinstance(found, dict) else None

    def _request(self, request: Request, said: Said, wanted: str, *, quiet: bool) -> Request:
        messages: list[Any] = [
            *as_text(request.messages, retold=said.language),
            HumanMessage(f"{_state(said)}\n{wanted}"),
        ]
        asked = hidden(request) if quiet else request
        return asked.override(
            tools=[],
            system_message=SystemMessage(f"{request.system_prompt or ''}\n\n{load('choose.md')}"),
            messages=[*merge_message_runs(messages)],  # type: ignore[list-item]  # some chat templates want the roles to take turns
        )


def _state(said: Said) -> str:
    if not said.runs:
        return "[There are no runs yet.]"
    newest = [f"{run.id} of {run.model}" for run in said.runs[:6]]
    done = f" Done for this message: {', '.join(said.made)}." if said.made else ""
    return f"[Runs: {'; '.join(newest)}.{done}]"


def _turn(messages: Sequence[Any]) -> list[Any]:
    return list(
        messages[max((i for i, message in enumerate(messages) if isinstance(message, HumanMessage)), default=0) :]
    )


def _left(turn: Sequence[Any]) -> list[str] | None:
    """The steps that the turn has still to take; None: they are to be chosen, at its start and after a failure."""
    last = next((message for message in reversed(turn) if isinstance(message, AIMessage)), None)
    if last is None or any(message.status == "error" for message in turn[-1:] if isinstance(message, ToolMessage)):
        return None
    return last.response_metadata.get(STEPS)


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$defs": schema["$defs"]} if "$defs" in schema else {}
