"""The state of one turn, and what a script of the planner can do: call a tool, ask, answer.

A script is a generator. It yields the calls it needs and is sent their results, so it reads like a plain function. At each
call of the model the script runs anew from its start, with the results that the conversation already holds; the same
messages always give the same calls.
"""

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

from agent.planner.memory import Facts, Frame, Memory, key
from agent.planner.slots import Slots
from agent.planner.task import Task
from tools.catalog import WORKFLOWS

T = TypeVar("T")


class Call(NamedTuple):
    tool: str
    arguments: dict[str, Any]


class Reply(NamedTuple):
    """The end of a turn."""

    text: str
    frame: Frame | None


Script = Generator[Call, Facts, T]


class Ask(Exception):
    def __init__(self, slot: str, proposal: Slots | None = None, **values: Any) -> None:
        self.slot, self.proposal, self.values = slot, proposal, values


class StepFailed(Exception):
    """A step that failed, or that the user refused: then the message is the reason, in the user's words."""

    def __init__(self, call: Call, message: str, refused: bool = False) -> None:
        self.call, self.message, self.refused = call, message, refused


class Turn:
    """What the scripts of one turn share."""

    def __init__(self, task: Task, memory: Memory) -> None:
        self.task = task
        self.memory = memory
        self.slots = task.slots
        self.produced: list[str] = []  # runs made in this turn
        self.rest = task.goals  # the goal at work and those after it

    def call(self, tool: str, **arguments: Any) -> Script[Facts]:
        """Call a tool; what it found becomes part of the memory."""
        given = {name: value for name, value in arguments.items() if value not in (None, ())}
        # "continue" after a kill: a run that was finished although the turn was not
        known = self.memory.done.get(key(tool, given)) if self.task.fresh.resume and tool in WORKFLOWS else None
        facts = known or (yield Call(tool, given))
        self.memory.learn(tool, facts)
        if "run" in facts and tool != "show_run":
            self.produced.append(facts["run"])
        return facts

    def made(self, kind: str) -> str | None:
        """The last run of that kind that this turn made."""
        return next((run for run in reversed(self.produced) if run.startswith(f"{kind}-")), None)

    def named_run(self, *kinds: str) -> str | None:
        """A run of one of the kinds that the user named."""
        return next((run for run in self.slots.runs if run.partition("-")[0] in kinds), None)

    def show(self, run: str) -> Script[Facts]:
        return (yield from self.call("show_run", run=run))

    def look_up(self, *kinds: str, model: str | None = None, data: str | None = None) -> Script[str | None]:
        """The newest finished run of the kinds in the history of the workspace."""
        listed = yield from self.call("list_runs", kind=kinds[0] if len(kinds) == 1 else None, model=model)
        for run in listed.get("runs", []):
            if run["kind"] in kinds and run["status"] == "done" and data in (None, run["data"]):
                return str(run["run"])
        return None

    def frame(self, asked: str | None = None, proposal: Slots | None = None) -> Frame:
        goals = self.rest or self.task.goals
        return Frame(goals=goals, slots=self.slots, asked=asked, proposal=proposal)
