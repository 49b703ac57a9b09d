"""Questions about measurements are answered from the run that they name, by what it measured."""

import json
from typing import Any

import pytest

from agent.grounding import check, facts_of
from agent.planner.answers import render
from knowledge.comparison import compare
from tests.agent.planner.conversation import Conversation
from tests.sample_runs import compression_run, plan_run


@pytest.mark.parametrize(
    "message",
    [
        "How fast is the compressed model?",
        "How accurate is the healed model?",
        "how fast is the smaller model?",
        "压缩后的模型有多快？",
    ],
)
def test_the_compressed_model_is_that_of_the_compression(later: Conversation, message: str) -> None:
    later.workspace.runs.save(plan_run(run_id="plan-zzzzzz"))
    later.say("show plan-zzzzzz")
    answer = later.say(message)
    assert "compression-5d5d5d" in answer
    assert "plan-zzzzzz" not in answer


def test_without_a_compression_the_plan_answers(talk: Conversation) -> None:
    talk.say("train minilm on amazon")
    talk.say("which layers can I drop to make it twice as fast?")
    assert "not made yet" in talk.say("how fast is the compressed model?")


@pytest.mark.parametrize("message", ["What is the F1?", "F1 是多少？"])
def test_a_metric_that_was_not_measured_is_not_answered_by_others(later: Conversation, message: str) -> None:
    later.say("show plan-4c4c4c")
    answer = later.say(message)
    assert "F1" in answer
    assert "plan-4c4c4c" in answer
    assert "%" not in answer
    assert later.unsupported() == []


def test_a_metric_that_was_measured_is_told(later: Conversation) -> None:
    later.say("show compression-5d5d5d")
    answer = later.say("what is the f1?")
    assert "F1 of the healed model: 86.6 %" in answer
    assert "accuracy" not in answer
    assert later.unsupported() == []


@pytest.mark.parametrize(
    ("language", "condition"), [("en", "latency, dense, 16 texts of 128 tokens"), ("zh", "16 条文本，每条 128 个词元")]
)
def test_a_comparison_tells_the_conditions_of_a_latency(language: Any, condition: str) -> None:
    run = compression_run()
    timed = next(each for each in run.measurements if (each.name, each.subject) == ("latency_ms", "dense"))
    update = {"split": None, "n": 40}
    more = [timed.model_copy(update={**update, "conditions": f"{n} texts of 128 tokens"}) for n in (1, 16)]
    run = run.model_copy(update={"measurements": [*run.measurements, *more]})
    compared = compare([run, plan_run()]).model_dump(mode="json")
    text = render(language, "comparison", compared=compared)
    assert condition in text
    assert check(text, facts_of([json.dumps(compared)])).unsupported == ()
