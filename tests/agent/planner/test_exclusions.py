"""Methods that are named to leave them out are left out."""

from typing import Any

import pytest

from agent.planner.reading import read
from agent.planner.slots import all_methods
from agent.planner.tables import tables
from tests.agent.planner.conversation import Conversation

MAIN = ["fisher", "gradient", "ablation", "mutual_information", "conductance", "shap"]


def test_the_methods_of_the_tables_are_those_of_the_registry() -> None:
    from analyzers.importance import methods

    assert set(all_methods()) == {method.id for method in methods()}
    assert set(tables()["main_methods"]) == {method.id for method in methods() if method.main}


@pytest.mark.parametrize(
    ("message", "methods"),
    [
        ("analyze train-wtmm48 on demo:amazon with eight samples, without SHAP", set(MAIN) - {"shap"}),
        ("analyze train-2a2a2a with fisher instead of shap", {"fisher"}),
        ("analyze train-2a2a2a with fisher, taylor and cka but not cka", {"fisher", "taylor"}),
        ("don't use shap, analyze train-2a2a2a with fisher", {"fisher"}),
        ("analyze train-2a2a2a with all methods except conductance and shap", set(all_methods()) - {"shap", "conductance"}),
        ("analyze train-2a2a2a by everything but ablation", set(all_methods()) - {"ablation"}),
        ("analyze train-2a2a2a with the six methods, leaving out fisher, shap and ablation", {"gradient", "mutual_information", "conductance"}),
        ("不要用 shap，用 fisher 分析 train-2a2a2a", {"fisher"}),
        ("用除了 shap 之外的所有方法分析 train-2a2a2a", set(all_methods()) - {"shap"}),
        ("分析 train-2a2a2a，不要 shap 和消融", set(MAIN) - {"shap", "ablation"}),
    ],
)  # fmt: skip
def test_an_analysis_without_them(later: Conversation, message: str, methods: set[str]) -> None:
    reading = read(message)
    assert reading.goals == ("analyze",)
    assert set(reading.slots.measures or ()) == methods
    if "2a2a2a" in message:
        later.say(message)
        assert set(later.arguments("analyze_layers")["methods"]) == methods


@pytest.mark.parametrize(
    ("message", "told", "untold"),
    [
        ("Which layer is least important according to everything but SHAP?", "Fisher: layer", "SHAP"),
        ("Which layer matters most without considering Fisher?", "SHAP: layer", "Fisher"),
        ("哪一层最重要，不考虑 fisher？", "SHAP：第", "Fisher"),
        ("除了 shap 以外的方法怎么看第三层？", "Fisher 信息：", "SHAP"),
    ],
)
def test_a_question_without_them(later: Conversation, message: str, told: str, untold: str) -> None:
    answer = later.say(message)
    assert told in answer
    assert untold not in answer
    assert later.unsupported() == []


@pytest.mark.parametrize(
    ("message", "told", "untold"),
    [
        (
            "do the methods agree, ignoring shap?",
            ["Fisher / ablation", "all methods of the analysis"],
            ["SHAP", "| SHAP"],
        ),
        ("do shap and fisher agree?", ["Fisher / SHAP: 0.733"], ["ablation"]),
        ("compare shap with fisher", ["Fisher / SHAP: 0.733"], ["ablation"]),
        ("这些方法一致吗，不考虑 shap？", ["这次分析的全部方法"], ["SHAP"]),
    ],
)
def test_the_agreement_of_those_that_are_meant(
    later: Conversation, message: str, told: list[str], untold: list[str]
) -> None:
    answer = later.say(message)
    numbers = answer.partition("**")[0]  # before the note
    for each in told:
        assert each in numbers
    for each in untold:
        assert each not in numbers
    assert later.unsupported() == []


def test_a_method_that_was_not_used_is_not_answered_by_others(later: Conversation) -> None:
    answer = later.say("which layer matters most according to taylor?")
    assert "none by Taylor importance" in answer
    assert ": layer" not in answer


@pytest.mark.parametrize(
    ("message", "methods"),
    [
        ("Explain fisher but not shap", ("fisher",)),
        ("explain fisher and shap", ("fisher", "shap")),
        ("分析 train-2a2a2a，除了 shap 还要用 fisher", ("fisher", "shap")),
        ("why not shap?", ("shap",)),
    ],
)
def test_what_is_still_named(message: str, methods: tuple[str, ...]) -> None:
    assert read(message).slots.methods == methods


@pytest.mark.parametrize(
    "message", ["don't use shap to analyze train-2a2a2a", "不要用 shap 分析 train-2a2a2a", "don't use shap"]
)
def test_a_refusal_orders_nothing(later: Conversation, message: str) -> None:
    later.say(message)
    assert later.calls == []


def test_an_analysis_is_repeated_without_one(later: Conversation) -> None:
    later.say("analyze train-2a2a2a with fisher and shap")
    later.say("and without shap?")
    expected: dict[str, Any] = {"model": "train-2a2a2a", "data": "demo:amazon", "methods": ["fisher"]}
    assert later.calls == [("analyze_layers", expected)]
