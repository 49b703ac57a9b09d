"""What a small model left out of its choice, and what it asked for without need."""

import json

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent.strategies.completing import ANSWER, ASK, CHOSEN, completed, kinds_asked


def first(text: str) -> list:
    return [HumanMessage(text)]


def asked(before: str, chosen: list[str], now: str) -> list:
    return [HumanMessage(before), AIMessage("How small?", response_metadata={CHOSEN: chosen}), HumanMessage(now)]


@pytest.mark.parametrize(
    ("steps", "messages", "expected"),
    [
        # a question where nothing is missing
        ([ASK], first("执行这个计划"), ["compress_model"]),
        (
            [ASK],
            first("compress it with the plan, then evaluate the result on the movie reviews"),
            ["compress_model", "evaluate_model"],
        ),
        # a question where something is
        ([ASK], first("train a model"), [ASK]),
        ([ASK], first("I want a smaller model"), [ASK]),
        ([ASK], first("I need something better"), [ASK]),
        # a step that was left out
        (
            ["plan_compression"],
            first("Find which half of the layers can go and remove them"),
            ["compress_model"],  # the plan for it is made first
        ),
        (["plan_compression"], first("执行这个计划"), ["compress_model"]),
        (
            ["plan_compression", "evaluate_model"],
            first("compress it with the plan, then evaluate the result on the movie reviews"),
            ["compress_model", "evaluate_model"],
        ),
        (["analyze_layers"], first("analyze it and remove two layers"), ["analyze_layers", "compress_model"]),
        (["plan_compression"], first("which half of the layers can go?"), ["plan_compression"]),
        # the reading takes nothing away, and begins nothing where the model only answers
        (["compress_model"], first("which half of the layers can go?"), ["compress_model"]),
        ([ANSWER], first("train minilm on the Amazon reviews"), [ANSWER]),
        (["show_run"], first("train minilm on the Amazon reviews"), ["show_run"]),
        # what is told without work
        (["list_capabilities"], first("what can you do?"), [ANSWER]),
        (["explain_method"], first("Which importance methods are there?"), ["list_capabilities"]),
        (["explain_method"], first("What is Fisher information?"), ["explain_method"]),
        # the value that the last turn asked for
        (["plan_compression"], asked("make it smaller", [ASK], "keep 4 layers"), ["compress_model"]),
        (["plan_compression"], asked("shrink it", ["compress_model"], "keep 4 layers"), ["compress_model"]),
        ([ANSWER], asked("shrink it", ["compress_model"], "keep 4 layers"), [ANSWER]),
        (["show_run"], asked("shrink it", ["compress_model"], "how fast is it?"), ["show_run"]),
    ],
)
def test_completed(steps: list[str], messages: list, expected: list[str]) -> None:
    assert completed(steps, messages) == expected


def test_what_was_done_is_not_waited_for() -> None:
    call = {"name": "plan_compression", "args": {}, "id": "1"}
    messages = [
        HumanMessage("which half of the layers can go?"),
        AIMessage("", tool_calls=[call], response_metadata={CHOSEN: ["plan_compression"]}),
        ToolMessage(json.dumps({"run": "plan-4c4c4c"}), tool_call_id="1", name="plan_compression"),
        AIMessage("Layers 0, 2, 4."),
        HumanMessage("and with 4 layers?"),
    ]
    assert completed(["analyze_layers"], messages) == ["analyze_layers"]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("how accurate is it now?", ("compression", "evaluation", "train", "plan")),
        ("速度快了多少？", ("compression", "plan", "evaluation", "train")),
        ("which layer matters most?", ("analysis",)),
        ("tell me more", ()),
    ],
)
def test_kinds_asked(text: str, kinds: tuple[str, ...]) -> None:
    assert kinds_asked(text) == kinds
