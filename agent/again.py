"""A message that is answered again, or another in its place: what was finished for the first answer is not done twice."""

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent.planner.memory import key, last_of_user
from agent.refusals import is_refusal
from analyzers.errors import LayerwiseError
from tools.catalog import WORKFLOWS
from tools.workspace import Workspace

FINISHED = "layerwise_finished"  # in the extras of a message of the user: what the answer that it replaces had finished


def place_of(messages: Sequence[BaseMessage], said: str, later: int) -> int | None:
    """Where a message of the user stands that `later` others of the same words follow; None: nowhere."""
    places = [i for i, each in enumerate(messages) if isinstance(each, HumanMessage) and each.text == said]
    return places[-1 - later] if len(places) > later else None


def instead(text: str, gone: Sequence[BaseMessage]) -> HumanMessage:
    """The message that takes the place of others, the first of them of the user.

    It carries the results of their workflows, so that they are there after a restart too.
    """
    finished = dict(gone[0].additional_kwargs.get(FINISHED, {})) | _finished(gone)
    return HumanMessage(text, additional_kwargs={FINISHED: finished} if finished else {})


def found_again(call: Mapping[str, Any], messages: Sequence[BaseMessage], workspace: Workspace) -> ToolMessage | None:
    """The result of a call that the replaced answer had finished, as long as its runs are there.

    Args:
        call: of the model.
        messages: of the conversation.
        workspace: where the runs are.
    """
    place = last_of_user(messages)
    finished = messages[place].additional_kwargs.get(FINISHED, {}) if place >= 0 else {}
    known = finished.get(key(call["name"], call["args"]))
    if known is None:
        return None
    try:
        for run in known["runs"]:
            workspace.runs.get(run)
    except LayerwiseError:  # deleted since
        return None
    return ToolMessage(known["text"], artifact=known["runs"], tool_call_id=str(call["id"]), name=call["name"])


def _finished(messages: Sequence[BaseMessage]) -> dict[str, dict[str, Any]]:
    """Results of workflows by their calls."""
    calls = {str(call["id"]): call for each in messages if isinstance(each, AIMessage) for call in each.tool_calls}
    return {
        key(call["name"], call["args"]): {"text": each.text, "runs": each.artifact}
        for each in messages
        if isinstance(each, ToolMessage) and each.status != "error" and not is_refusal(each) and each.artifact
        if (call := calls.get(each.tool_call_id)) and call["name"] in WORKFLOWS
    }
