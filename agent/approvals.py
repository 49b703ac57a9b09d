"""Which steps wait for the user, and what becomes of them.

LangChain's HumanInTheLoopMiddleware stops the graph before a call and takes the decision up again, also in another
process. Here stands what it is asked about: workflows that take long or nobody knows how long, and what deletes.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, get_args

from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.middleware.human_in_the_loop import InterruptOnConfig
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from pydantic import ValidationError

from agent.again import found_again
from agent.events import ApprovalNeeded
from agent.planner.answers import render
from agent.planner.memory import last_of_user
from agent.planner.reading import Language
from agent.refusals import is_refusal, reason_of, refusal
from analyzers.errors import UsageError
from analyzers.records import Record
from tools.catalog import WORKFLOWS, dependants, request_of
from tools.estimates import Forecasts, forecast
from tools.workspace import Workspace

Mode = Literal["ask", "all", "none"]
Reason = Literal["long", "unknown", "deletes"]
MODES = get_args(Mode)
ASK_ABOVE = 60.0  # seconds
DELETES = ("delete_run",)


class Why(Record):
    """Why a call waits; it travels in the description of the interrupt, so that a new process asks the same question."""

    reason: Reason
    estimate: Forecasts | None = None
    dependants: tuple[str, ...] = ()


class Pending(NamedTuple):
    """A question that was put and not answered."""

    interrupt: str  # the id that LangGraph gave it
    asked: ApprovalNeeded


class Approvals(HumanInTheLoopMiddleware[Any, Any, Any]):
    """Stops before a step that needs approval.

    Args:
        mode: ask; all: approve without a question; none: refuse without one.
        ask_above: seconds; a workflow that is expected to take longer needs approval.
        workspace: whose runs are looked at.
        started: called with a call that is about to run, as it was approved.

    Raises:
        UsageError: there is no such mode.
    """

    def __init__(
        self, mode: Mode, ask_above: float, workspace: Workspace, started: Callable[[Mapping[str, Any]], None]
    ) -> None:
        if mode not in MODES:
            raise UsageError(f"{mode!r} is no way to approve; allowed are: {', '.join(MODES)}")
        work: InterruptOnConfig = {
            "allowed_decisions": ["approve", "edit", "reject"],
            "when": self._stops,
            "description": self._described,
        }
        deletes: InterruptOnConfig = {**work, "allowed_decisions": ["approve", "reject"]}
        super().__init__(
            {**dict.fromkeys(WORKFLOWS, work), **dict.fromkeys(DELETES, deletes)},
            interrupt_mode="per_call",
            edit_notice=None,  # it would stand before the JSON of the result
        )
        self._mode = mode
        self._ask_above = ask_above
        self._workspace = workspace
        self._started = started
        self._asked: set[str] = set()  # calls that a question was put about
        self._reasons: dict[str, str] = {}  # why they were refused
        self.taken_up: set[str] = set()  # calls that were approved before their process ended, and run on
        self.rest = False  # of this turn: long steps need no more approval

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]) -> Any:
        call = request.tool_call
        if refused := _refused_before(call, request.state["messages"]):
            return refusal(call, reason_of(refused))
        if again := found_again(call, request.state["messages"], self._workspace):
            return again
        if self._mode == "none" and str(call["id"]) not in self._asked and self._why(call):
            return refusal(call, "approval is switched off: --approve none")
        ran: dict[str, Any] | None = None

        def run(approved: ToolCallRequest) -> Any:
            nonlocal ran
            ran = dict(approved.tool_call)
            self._started(ran)
            return handler(approved)

        answer = super().wrap_tool_call(request, run)
        if ran is None:
            return refusal(call, self._reasons.get(str(call["id"]), ""))
        return _changed(answer, ran["args"]) if ran["args"] != call["args"] else answer

    def decided(
        self,
        pending: Pending,
        decision: Literal["approve", "change", "refuse"],
        arguments: dict[str, Any],
        message: str,
    ) -> dict[str, Any]:
        """What LangGraph resumes with."""
        asked = pending.asked
        self._asked.add(asked.call_id)
        answer: dict[str, Any] = {"type": "approve"}
        if decision == "change":
            answer = {"type": "edit", "edited_action": {"name": asked.name, "args": arguments}}
        elif decision == "refuse":
            self._reasons[asked.call_id] = message
            answer = {"type": "reject", "message": message}
        return {pending.interrupt: answer}

    def _stops(self, request: ToolCallRequest) -> bool:
        """Whether the call waits. What was asked once stops again, whatever the runs say by now: else a refusal is skipped."""
        if str(request.tool_call["id"]) in self.taken_up:
            return False
        if str(request.tool_call["id"]) in self._asked:
            return True
        return self._mode == "ask" and self._why(request.tool_call) is not None

    def _described(self, tool_call: Any, state: Any, runtime: Any) -> str:  # noqa: ARG002 - the signature is LangChain's
        return (self._why(tool_call) or Why(reason="unknown")).model_dump_json()

    def _why(self, call: Mapping[str, Any]) -> Why | None:
        """Why the call needs approval; None where it needs none, or fails at once and says by itself what is wrong."""
        name, arguments = call["name"], call["args"]
        if name in DELETES:
            return self._deletes(arguments)
        try:
            request = request_of(name, arguments)
            if request is None:
                return None
            expected = forecast(request, self._workspace)
        except (ValidationError, UsageError):
            return None
        seconds = expected.seconds
        if seconds is not None and seconds.value > self._ask_above:
            return None if self.rest else Why(reason="long", estimate=expected)
        if seconds is None or seconds.at_least:
            return None if self.rest else Why(reason="unknown", estimate=expected)
        return None

    def _deletes(self, arguments: dict[str, Any]) -> Why | None:
        run = str(arguments.get("run"))
        try:
            there = self._workspace.runs.folder(run).is_dir()
        except UsageError:
            there = False
        if not there:
            return None  # the tool says so
        left = dependants(run, self._workspace)
        if left and not arguments.get("force"):
            return None  # the tool refuses it, and names them
        return Why(reason="deletes", dependants=tuple(left))


def pending_of(state: Any, language: Language) -> Pending | None:
    """The first question that a conversation waits for; None: none.

    Args:
        state: a snapshot of LangGraph.
        language: of the question.
    """
    for each in state.interrupts:
        value = each.value
        if not isinstance(value, dict) or value.get("type") != "tool_approval":
            continue
        try:
            why = Why.model_validate_json(value["description"])
        except ValidationError:  # written by another version
            why = Why(reason="unknown")
        allowed: Any = ("approve", "refuse") if value["name"] in DELETES else ("approve", "change", "refuse")
        values = {"tool": value["name"], "arguments": value["args"], "why": why, "decisions": allowed}
        asked = ApprovalNeeded(
            call_id=value["tool_call_id"],
            name=value["name"],
            arguments=value["args"],
            reason=why.reason,
            estimate=why.estimate,
            dependants=why.dependants,
            decisions=allowed,
            text=render(language, "approval", **values),
        )
        return Pending(each.id, asked)
    return None


def _refused_before(call: Mapping[str, Any], messages: list[BaseMessage]) -> ToolMessage | None:
    """The refusal of the same call in the same turn: who said no is not asked again at once."""
    turn = messages[last_of_user(messages) + 1 :]
    made = [each for message in turn if isinstance(message, AIMessage) for each in message.tool_calls]
    same = {each["id"] for each in made if (each["name"], each["args"]) == (call["name"], call["args"])}
    refusals = [m for m in turn if isinstance(m, ToolMessage) and m.tool_call_id in same and is_refusal(m)]
    return refusals[-1] if refusals else None


def _changed(answer: Any, arguments: dict[str, Any]) -> Any:
    """The result with what the user made of the call: the model's own message still holds what it asked for."""
    if not isinstance(answer, ToolMessage) or answer.status == "error":
        return answer
    try:
        found = json.loads(answer.text)
    except ValueError:
        return answer
    text = json.dumps({"changed_by_the_user": arguments, **found}, ensure_ascii=False, separators=(",", ":"))
    return answer.model_copy(update={"content": text})
