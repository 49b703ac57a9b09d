"""Questions that go on with the one before: of another method, of the next layer, why."""

import pytest

from tests.agent.planner.conversation import Conversation


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ("Which layer matters most according to fisher?", "and according to shap?"),
        ("Which layer matters most according to fisher?", "no, I meant shap"),
        ("Which layer matters most according to fisher?", "and shap?"),
        ("Which layer matters most?", "what about shap?"),
        ("按 fisher 哪一层最重要？", "那 shap 呢？"),
        ("按 fisher 哪一层最重要？", "不，我是说 shap"),
    ],
)
def test_the_same_of_another_method(later: Conversation, first: str, message: str) -> None:
    later.say(first)
    answer = later.say(message)
    assert answer.startswith("- SHAP")
    assert "Fisher" not in answer
    assert later.names == ["show_run"]


def test_what_is_asked_anew_is_no_follow_up(later: Conversation) -> None:
    later.say("Which layer matters most according to fisher?")
    assert "**SHAP" in later.say("what is shap?")
    assert later.names == ["explain_method"]


@pytest.mark.parametrize(
    ("first", "message", "told"),
    [
        ("Which layer matters most according to fisher?", "and the second most important?", "layer 5 is rank 2"),
        ("Which layer matters most according to fisher?", "and the second?", "layer 5 is rank 2"),
        ("Which layer matters least by fisher?", "and the second least important?", "rank 5"),
        ("按 fisher 哪一层最重要？", "第二重要的呢？", "第 5 层排第 2"),
        ("Which layer matters most?", "which is the third most important layer?", "third most"),
    ],
)
def test_the_next_in_the_ranking(later: Conversation, first: str, message: str, told: str) -> None:
    later.say(first)
    answer = later.say(message)
    assert told in answer
    assert ("shap" not in answer.lower()) == ("fisher" in first)
    assert later.unsupported() == []


@pytest.mark.parametrize(
    ("first", "message", "note"),
    [("Which layer matters most according to fisher?", "why?", "fisher"), ("哪一层最重要？", "为什么？", "shap")],
)
def test_why_after_a_ranking_is_about_its_layer(later: Conversation, first: str, message: str, note: str) -> None:
    later.say(first)
    answer = later.say(message)
    assert "**Layer 0**" in answer or "**第 0 层**" in answer
    assert f"`{note}`" in answer
    assert later.unsupported() == []
    later.say("and according to shap?" if note == "fisher" else "那 fisher 呢？")
    assert later.names == ["show_run"]


def test_why_after_a_plan_is_about_its_layers(later: Conversation) -> None:
    later.say("plan analysis-3b3b3b with three layers")
    assert "**Layer 1**" in later.say("why?")


def test_why_after_nothing_asks_nothing_of_the_tools(later: Conversation) -> None:
    later.say("hello")
    later.say("why?")
    assert later.calls == []


def test_why_after_a_place_that_is_not_there(later: Conversation) -> None:
    later.say("Which layer matters most according to fisher?")
    beyond = later.say("and the twelfth most important?")
    assert later.say("why?") == beyond
