"""What a message means while a step waits: yes, no, other values, the question once more, or something else."""

import re
from typing import Any, Literal, NamedTuple

import yaml
from langchain_core.tools import BaseTool
from pydantic import ValidationError

from agent.events import ApprovalNeeded
from agent.planner.reading import read
from agent.planner.slots import Slots
from agent.planner.tables import pattern, tables
from agent.strategies.arguments import problem_of
from agent.strategies.said import TARGETS
from analyzers.errors import UsageError
from tools.catalog import request_of

_PAIR = re.compile(r"\b([a-z_]+)\s*(?:=|:|：|＝)\s*(\[[^\]]*\]|[^\s;；，]+)", re.IGNORECASE)
_PLAIN = (
    "epochs",
    "batch_size",
    "learning_rate",
    "seed",
    "samples",
    "heal",
    "quantize",
    "budget",
    "ratio",
    "keep",
    "max_drop",
    "format",
    "from_scratch",
)


class Decided(NamedTuple):
    decision: Literal["approve", "change", "refuse", "again"]
    arguments: dict[str, Any] = {}  # noqa: RUF012 - never changed; what is to be different
    rest: bool = False  # approve what follows in this turn too


def decision_of(text: str, asked: ApprovalNeeded, tool: BaseTool) -> Decided | None:
    """The decision that a message takes; None: it is about something else.

    Raises:
        UsageError: it wants a change and does not say of what to what.
    """
    if _says("again", text):
        return Decided("again")
    if "change" in asked.decisions and (changes := _changes(text, tool)):
        return Decided("change", changes)
    if _says("rest", text):
        return Decided("approve", rest=True)
    if _says("approve", text):
        return Decided("approve")
    if _says("refuse", text):
        return Decided("refuse")
    if "change" in asked.decisions and re.match(r"\W*(?:change|edit|改|换)", text, re.IGNORECASE):
        known = ", ".join(tool.args)
        raise UsageError(f"say what to change to what, e.g. change seed=1; {asked.name} has: {known}")
    return None


def changed(asked: ApprovalNeeded, changes: dict[str, Any], tool: BaseTool) -> dict[str, Any]:
    """The arguments with the changes.

    Raises:
        UsageError: the tool does not take them.
    """
    kept = {name: value for name, value in asked.arguments.items() if not (name in TARGETS and {*TARGETS} & {*changes})}
    arguments = {**kept, **changes}
    problem = problem_of(tool, arguments)
    if problem is None:
        try:
            request_of(asked.name, arguments)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
    if problem:
        raise UsageError(f"{problem}; {asked.name} still waits: approve, refuse, or change it in another way")
    return arguments


def _changes(text: str, tool: BaseTool) -> dict[str, Any]:
    """Values for arguments of the tool: `epochs=1`, or in words where the message says hardly more than that."""
    found = {name.lower(): _value(value, tool.args[name.lower()]) for name, value in _PAIR.findall(text)
             if name.lower() in tool.args}  # fmt: skip
    if found:
        return found
    reading = read(text)
    if not (_says("change", text) or reading.bare) or text.rstrip().endswith(("?", "？")):
        return {}
    slots: Slots = reading.slots
    found = {name: value for name in _PLAIN if name in tool.args and (value := getattr(slots, name)) is not None}
    for name, values in (("methods", slots.measures), ("model", slots.models[:1]), ("data", slots.data[:1])):
        if name in tool.args and values:
            found[name] = list(values) if name == "methods" else values[0]
    return found


def _value(text: str, about: dict[str, Any]) -> Any:
    """The value as its argument takes it: a list where one is due, else a number or a word."""
    if about.get("type") == "array":
        return [part.strip() for part in text.strip("[]").split(",") if part.strip()]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, int | float | bool | str) or value is None else text


def _says(what: str, text: str) -> bool:
    return any(pattern(each).search(text) for each in tables()["decisions"][what].values())
