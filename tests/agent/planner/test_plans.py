"""A plan is made as it was asked for, and nothing after it that was not."""

import pytest

from agent.planner.reading import read
from tests.agent.planner.conversation import Conversation


@pytest.mark.parametrize(
    ("message", "target"),
    [
        ("把 analysis-3b3b3b 做一个计划，保留三分之二的层，不要压缩", {"ratio": 1.5}),
        ("把 analysis-3b3b3b 保留四层做个计划", {"keep": 4}),
        ("plan analysis-3b3b3b keep four layers", {"keep": 4}),
        ("plan analysis-3b3b3b, remove two layers", {"keep": 4}),
        ("plan analysis-3b3b3b with four layers", {"keep": 4}),
        ("make a plan for analysis-3b3b3b that removes two layers", {"keep": 4}),
        ("make a plan for analysis-3b3b3b removing two layers", {"keep": 4}),
        ("make a plan for analysis-3b3b3b without two of the layers", {"keep": 4}),
        ("I need a plan for analysis-3b3b3b which drops half the layers", {"ratio": 2}),
        ("make a plan for analysis-3b3b3b that keeps four layers", {"keep": 4}),
        ("plan analysis-3b3b3b with ratio one point five", {"ratio": 1.5}),
        ("plan analysis-3b3b3b to keep half the layers but do not compress", {"ratio": 2}),
    ],
)
def test_nothing_is_compressed_after_a_plan(later: Conversation, message: str, target: dict[str, float]) -> None:
    later.say(message)
    assert "compress_model" not in later.names
    assert later.arguments("plan_compression") == {"analysis": "analysis-3b3b3b", **target}


@pytest.mark.parametrize(
    ("message", "goals"),
    [
        ("plan it and keep four layers", ("plan", "compress")),
        ("make a plan, then remove two layers", ("plan", "compress")),
        ("做一个计划，保留四层，然后压缩", ("plan", "compress")),
        ("plan train-2a2a2a with four layers", ("plan",)),
        ("去掉两层的计划", ("plan",)),
        ("compress it to four layers, but do not compress the embeddings", ("compress",)),
    ],
)
def test_what_is_ordered_beside_a_plan(message: str, goals: tuple[str, ...]) -> None:
    assert read(message).goals == goals


@pytest.mark.parametrize(
    ("message", "allowed", "other"),
    [
        ("plan analysis-3b3b3b with ratio zero point five", "above one", "ratio two"),
        ("把 analysis-3b3b3b 做一个比例零点五的计划", "要大于一", "比例 2"),
    ],
)
def test_a_ratio_that_cannot_be_is_asked_for_again(later: Conversation, message: str, allowed: str, other: str) -> None:
    answer = later.say(message)
    assert later.unsupported() == []
    assert allowed in answer
    assert later.calls == []
    later.say(other)
    assert later.arguments("plan_compression") == {"analysis": "analysis-3b3b3b", "ratio": 2}


@pytest.mark.parametrize(
    ("message", "allowed"),
    [("plan analysis-3b3b3b with ratio umpteen", "above one"), ("给 analysis-3b3b3b 做个比例若干的计划", "要大于一")],
)
def test_a_ratio_that_is_not_understood_is_told_what_is_allowed(
    later: Conversation, message: str, allowed: str
) -> None:
    assert allowed in later.say(message)
    assert later.calls == []
