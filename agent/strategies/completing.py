"""What the built-in reading of a message adds to the choice of a small model.

The reading knows fewer wordings than a model and is sure of those that it knows. It never starts work on a message that the
model only wants to answer.
"""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent.planner.decide import decide
from agent.planner.memory import Memory, last_of_user
from agent.planner.questions import MEASURED, TIMED
from agent.planner.reading import read
from agent.planner.task import understand
from agent.planner.turn import Call

ASK, ANSWER = "ask", "answer"
CHOSEN = "layerwise_chosen"  # key in the metadata of a message: what the turn was seen to ask for
_TOOLS = {
    "train": "train_model",
    "analyze": "analyze_layers",
    "plan": "plan_compression",
    "compress": "compress_model",
    "evaluate": "evaluate_model",
    "export": "export_model",
    "report": "write_report",
}
# What Layerwise can do is told without a tool; what there is, by one.
_LOOKS = {"help": ANSWER, **dict.fromkeys(("list_methods", "list_models", "list_datasets"), "list_capabilities")}
# Kinds of runs that hold what a question of that sort is about.
_KINDS = {
    **dict.fromkeys(("top_layer", "bottom_layer", "layer", "agreement", "believe"), ("analysis",)),
    "speed": TIMED,
    "quality": MEASURED,
}


def completed(steps: list[str], messages: Sequence[Any]) -> list[str]:
    """The steps of a turn, from those that a model chose.

    Args:
        steps: names of tools, or `ask` or `answer` alone.
        messages: the conversation; the turn has only begun.
    """
    reading = read(messages[last_of_user(messages)].text)
    if reading.goals and set(reading.goals) <= _LOOKS.keys():
        return [_LOOKS[reading.goals[0]]]
    work = [step for step in steps if step in _TOOLS.values()]
    if not work and steps[0] != ASK:
        return steps
    waiting = _waiting(messages)
    if waiting and reading.slots.named and (reading.bare or not reading.goals):
        return waiting  # the value that was asked for
    orders = _orders(messages)
    if steps[0] == ASK:
        # A question is for what is missing; where nothing is, the model did not see what was meant.
        return orders if orders and isinstance(decide(messages)[0], Call) else steps
    if "compress_model" in orders and "plan_compression" not in orders:
        # A plan that nobody asked for is part of the compression, and made on the way if there is none that fits.
        steps = ["compress_model" if step == "plan_compression" else step for step in steps]
        work = ["compress_model" if step == "plan_compression" else step for step in work]
    return list(dict.fromkeys([*steps, *orders[_stopped(work[-1], orders) :]]))


def _stopped(step: str, orders: list[str]) -> int:
    """Where in the orders those begin that come after a step on the way to a smaller model."""
    way = list(_TOOLS.values())
    return next((n for n, order in enumerate(orders) if way.index(order) > way.index(step)), len(orders))


def kinds_asked(text: str) -> tuple[str, ...]:
    """Kinds of the runs that a question is about; () where the reading does not know."""
    return next((_KINDS[goal] for goal in read(text).goals if goal in _KINDS), ())


def _orders(messages: Sequence[Any]) -> list[str]:
    last = last_of_user(messages)
    task = understand(read(messages[last].text), Memory.of(messages[:last]))
    return [_TOOLS[goal] for goal in task.goals if goal in _TOOLS] if task else []


def _waiting(messages: Sequence[Any]) -> list[str]:
    """The work of the turn before, where that ended with a question instead."""
    before = messages[: last_of_user(messages)]
    begin = last_of_user(before)
    turn = before[begin:] if begin >= 0 else []
    if not turn or any(isinstance(message, ToolMessage) for message in turn):
        return []
    chosen: list[str] = next(
        (m.response_metadata[CHOSEN] for m in turn if isinstance(m, AIMessage) and CHOSEN in m.response_metadata), []
    )
    if chosen == [ASK]:
        return _orders([message for message in before if isinstance(message, HumanMessage)])
    return [step for step in chosen if step in _TOOLS.values()]
