"""What was said and measured before, read from the messages of the conversation."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent.planner.slots import Slots
from analyzers.records import Record
from analyzers.run_ids import RUN_ID

METADATA = "layerwise"  # key in the metadata of an AIMessage

Facts = dict[str, Any]  # the JSON of a tool result


def last_of_user(messages: Sequence[BaseMessage]) -> int:
    """Where the last message of the user stands; -1: nowhere. What follows it is the turn."""
    return max((i for i, message in enumerate(messages) if isinstance(message, HumanMessage)), default=-1)


def key(tool: str, arguments: dict[str, Any]) -> str:
    """The same for two calls that do the same work."""
    return (
        f"{tool} {json.dumps({name: value for name, value in arguments.items() if name != 'resume'}, sort_keys=True)}"
    )


class Frame(Record):
    """What the planner was about when it sent a message."""

    goals: tuple[str, ...] = ()  # what is still to be done, or what was done when all is
    slots: Slots = Slots()
    asked: str | None = None  # the slot that it asked for
    proposal: Slots | None = None  # what a plain yes means


class Memory:
    """The runs that the conversation is about, and the frame of the last answer."""

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.runs: dict[str, Facts] = {}  # everything that was seen of a run
        self.focus: list[str] = []  # runs that were shown, named or made; the one that "it" means is last
        self.made: list[str] = []  # runs that were made in this conversation; the newest last
        self.done: dict[str, Facts] = {}  # calls that were answered, by `key`

    @classmethod
    def of(cls, messages: Iterable[BaseMessage]) -> "Memory":
        memory = cls()
        calls: dict[str, str] = {}
        for message in messages:
            match message:
                case HumanMessage():
                    memory.name(RUN_ID.findall(message.text))
                case AIMessage():
                    calls |= {str(call["id"]): key(call["name"], call["args"]) for call in message.tool_calls}
                    if METADATA in message.response_metadata:
                        memory.frame = Frame.model_validate(message.response_metadata[METADATA])
                case ToolMessage(status="success"):
                    facts = facts_of(message)
                    memory.learn(str(message.name), facts)
                    if message.tool_call_id in calls:
                        memory.done[calls[message.tool_call_id]] = facts
        return memory

    def name(self, runs: Iterable[str]) -> None:
        for run in runs:
            if run in self.focus:
                self.focus.remove(run)
            self.focus.append(run)

    def learn(self, tool: str, facts: Facts) -> None:
        """Take in the result of a tool."""
        for listed in facts.get("runs", []):
            if isinstance(listed, dict) and "run" in listed:
                self.runs.setdefault(listed["run"], listed)
        if gone := facts.get("deleted"):
            self.runs.pop(gone, None)
            self.focus, self.made = ([run for run in runs if run != gone] for runs in (self.focus, self.made))
        if "run" in facts:
            run = str(facts["run"])
            self.runs[run] = facts
            if tool != "show_run":
                self.name([run])
                self.made.append(run)
            elif run not in self.focus:
                self.focus.insert(0, run)  # looked up to answer a question: "it" goes on to mean what was made

    def latest(self, kinds: Sequence[str], *, model: str | None = None, data: str | None = None) -> str | None:
        """The run of one of the kinds that was spoken of last, for a model and data if they are named."""
        for run in reversed(self.focus):
            if run.partition("-")[0] in kinds and self._fits(run, model, data):
                return run
        return None

    def _fits(self, run: str, model: str | None, data: str | None) -> bool:
        known = self.runs.get(run)
        if known is None:
            return model is None and data is None
        return known.get("status") == "done" and fits(known, model, data)

    def newer(self, kind: str, than: str) -> bool:
        """Whether a run of that kind was made after the other run was last spoken of."""
        if than not in self.focus:
            return False
        return any(run.startswith(f"{kind}-") and run in self.made for run in self.focus[self.focus.index(than) + 1 :])


def fits(facts: Facts, model: str | None, data: str | None) -> bool:
    return model in (None, facts.get("model"), facts.get("base_model")) and data in (None, facts.get("data"))


def facts_of(message: ToolMessage) -> Facts:
    """The JSON of a tool result; empty when it is none."""
    try:
        facts = json.loads(message.text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
