"""Counting: conversations with the real agent on recorded runs, and create_agent beside it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from agent.evaluation.cases import OWN, load_cases
from agent.evaluation.run import Outcome, evaluate, score
from agent.llm import LanguageModel
from agent.planner import Planner
from tests.agent.scripted import Scripted

CASES = {case.name: case for case in load_cases(OWN)}
PLANNER = LanguageModel(Planner(), "offline", "asked")


def outcome(name: str, passed: bool, refrains: bool = False) -> Outcome:
    return Outcome(
        name=name, group="talk" if refrains else "single", refrains=refrains, passed=passed, problems=(), calls=(),
        answers=(), tokens=10, seconds=0.5,
    )  # fmt: skip


def test_the_agent_is_evaluated_on_recorded_runs() -> None:
    found = evaluate(PLANNER, [CASES["whole"], CASES["hello"], CASES["hostile-label"]])
    assert [each.problems for each in found.outcomes] == [(), (), ()]
    assert (found.passed, found.cases, found.tokens) == (3, 3, 0)
    assert found.refraining is not None
    assert [call.partition("(")[0] for call in found.outcomes[0].calls] == [
        "train_model",
        "analyze_layers",
        "plan_compression",
        "compress_model",
    ]


@pytest.mark.parametrize("plain", [False, True])
def test_a_model_that_calls_a_tool_on_a_greeting_fails(plain: bool) -> None:
    model = Scripted(steps=[("list_capabilities", {}), "Hello!"])
    found = evaluate(LanguageModel(model, "ollama:x", "asked"), [CASES["hello"]], plain=plain)
    assert found.passed == 0
    assert found.outcomes[0].problems == ("called list_capabilities where nothing was to be called",)


def test_plain_create_agent_executes_no_printed_call_and_layerwise_does() -> None:
    printed = '{"name": "train_model", "arguments": {"model": "demo:minilm", "data": "demo:amazon"}}'
    steps = [printed, "Accuracy is 89.9 % (train-new001)."]
    for plain, passed in ((True, 0), (False, 1)):
        model = LanguageModel(Scripted(steps=list(steps)), "ollama:x", "asked")
        assert evaluate(model, [CASES["train"]], plain=plain).passed == passed


def test_success_has_an_interval_and_refraining_is_counted_apart() -> None:
    outcomes = [outcome(str(i), i < 15) for i in range(20)] + [outcome("hi", True, refrains=True)]
    found = score("layerwise", "m", outcomes)
    assert (found.passed, found.cases, found.tokens, found.seconds) == (16, 21, 210, 10.5)
    assert found.success.value == pytest.approx(16 / 21)
    assert found.success.low < 0.65 < 0.85 < found.success.high
    assert found.refraining is not None
    assert found.refraining.value == 1
    assert (found.refraining.low, found.refraining.high) == (pytest.approx(0.2065, abs=1e-4), 1), "Wilson's of 1 in 1"
    assert found.groups == {"single": "15 of 20", "talk": "1 of 1"}


def test_the_command(tmp_path: Path) -> None:
    cases = tmp_path / "mine.yaml"
    cases.write_text("- {name: hi, group: talk, turns: [{say: hello, refrain: true}]}")
    done = CliRunner().invoke(main, ["eval", "--cases", str(cases), "--json"])
    (found,) = json.loads(done.stdout)["scores"]
    assert (found["passed"], found["cases"], found["llm"]) == (1, 1, "offline")
    shown = CliRunner().invoke(main, ["eval", "--cases", str(cases), "--only", "talk"])
    assert "1 of 1" in shown.stdout
    wrong = CliRunner().invoke(main, ["eval", "--cases", str(cases), "--only", "tolk"])
    assert wrong.exit_code == 2
    assert "no case or group tolk; there are: hi, talk" in wrong.stderr
