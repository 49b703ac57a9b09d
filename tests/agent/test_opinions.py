"""Recommendations of several language models side by side: valid, checked, and the others remain when one is down."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from langchain_core.runnables import Runnable, RunnableLambda

import agent.opinions
from agent.cli import main
from agent.llm import LanguageModel
from agent.opinions import Opinions, Recommendation, opinions, side_by_side
from agent.settings import read
from analyzers.errors import LanguageModelError, UsageError
from tests.agent.scripted import Scripted
from tests.fake_workflows import no_index
from tests.sample_runs import story
from tools.workspace import Workspace

__all__ = ["no_index"]

ANALYSIS, PLAN = "analysis-3b3b3b", "plan-4c4c4c"
GOOD = "Fisher gives layer 3 only 0.696, and SHAP, with the highest fidelity of 0.91, puts it last."
BAD = "Fisher gives layer 3 only 0.123."


class UnderSchema(Scripted):
    """A scripted model whose server keeps to the schema: its text is parsed into it."""

    def with_structured_output(self, schema: Any, **kwargs: Any) -> Runnable[Any, Any]:
        assert kwargs == {"method": "json_schema"}
        return self | RunnableLambda(lambda message: schema.model_validate_json(message.text))


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each name answers: layers and a reason, a text, or an error."""
    answers: dict[str, Any] = {}

    def choose(name: str, _: Any) -> LanguageModel:
        answer = answers[name]
        if isinstance(answer, tuple):
            answer = json.dumps({"remove": answer[0], "reason": answer[1]})
        answers[name] = model = answer if isinstance(answer, UnderSchema) else UnderSchema(steps=[answer])
        if isinstance(model.steps[0], LanguageModelError):
            raise model.steps[0]
        return LanguageModel(model, name, "asked")

    monkeypatch.setattr(agent.opinions, "choose", choose)
    return answers


@pytest.fixture
def workspace(tmp_path: Path, no_index: None) -> Workspace:
    workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    for run in story():
        workspace.runs.save(run)
    return workspace


def ask(run: str, workspace: Workspace, models: dict[str, Any]) -> Opinions:
    return opinions(run, list(models), read(workspace.home), workspace.runs)


def test_two_opinions_on_a_plan(workspace: Workspace, models: dict[str, Any]) -> None:
    models |= {"ollama:a": ([3, 2, 1], GOOD), "openai:b": ([2, 3, 4], GOOD)}
    found = ask(PLAN, workspace, models)
    assert (found.run, found.plan, found.wanted, found.layers) == (ANALYSIS, PLAN, 3, 6)
    first, second = found.opinions
    assert (first.remove, second.remove) == ((1, 2, 3), (2, 3, 4))
    assert (found.agreed, found.disputed, found.planned) == ((2, 3), (1, 4), (1, 2, 3))
    assert first.measured
    assert second.measured
    assert (first.measured.value, second.measured.value) == (0.854, 0.841)  # what the plan measured of these sets
    assert first.grounded
    assert second.grounded


def test_the_same_measured_facts_go_to_all_and_the_plan_to_none(workspace: Workspace, models: dict[str, Any]) -> None:
    models |= {"ollama:a": ([1, 2, 3], GOOD), "openai:b": ([1, 2, 3], GOOD)}
    ask(PLAN, workspace, models)
    (first,), (second,) = (models[name].seen[0] for name in ("ollama:a", "openai:b"))
    assert first.text == second.text
    assert "exactly 3 of the 6 layers" in first.text
    assert '"score_of_layer": {"0": 3.7798' in first.text
    assert "0.854" not in first.text


def test_a_reason_is_checked(workspace: Workspace, models: dict[str, Any]) -> None:
    models |= {"ollama:a": ([1, 2, 3], "I remove layers 1, 2 and 3 and keep layer 0. " + BAD)}
    (found,) = ask(ANALYSIS, workspace, models).opinions
    assert not found.grounded
    assert len(found.unsupported) == 1
    assert "0.123" in found.unsupported[0]


def test_a_model_that_is_down_leaves_the_others(workspace: Workspace, models: dict[str, Any]) -> None:
    models |= {
        "ollama:gone": httpx.ConnectError("connection refused"),
        "ollama:none": LanguageModelError("Ollama has no model 'none'; fetch it"),
        "openai:b": ([1, 2, 3], GOOD),
    }
    found = ask(PLAN, workspace, models)
    gone, none, left = found.opinions
    assert "cannot be reached" in gone.problem
    assert none.problem == "Ollama has no model 'none'; fetch it"
    assert left.remove == (1, 2, 3)
    lines = side_by_side(found).splitlines()
    assert sum("cannot be reached" in line for line in lines) == 1
    assert any(line.startswith("openai:b") and "1-3" in line and "85.4 %" in line for line in lines)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (([1, 2, 9], "x"), r"wants to remove \[9\], and there are layers 0 to 5 only"),
        (([1, 2], "x"), "3 different layers were asked for"),
        (([1, 2, 2], "x"), "3 different layers were asked for"),
        ("I would remove some.", "no recommendation that can be read"),
        ('{"remove": "all"}', "no recommendation that can be read"),
    ],
)
def test_an_answer_that_cannot_be_meant_is_one_line(
    workspace: Workspace, models: dict[str, Any], answer: Any, says: str
) -> None:
    models |= {"ollama:a": answer}
    (found,) = ask(PLAN, workspace, models).opinions
    assert re.search(says, found.problem)
    assert "\n" not in found.problem
    assert found.remove == ()


def test_a_fault_of_ours_is_not_an_opinion(workspace: Workspace, models: dict[str, Any]) -> None:
    models |= {"ollama:a": ZeroDivisionError("ours")}
    with pytest.raises(ZeroDivisionError):
        ask(PLAN, workspace, models)


def test_what_cannot_be_asked(workspace: Workspace, models: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no finished analysis or plan"):
        opinions("train-2a2a2a", ["ollama:a"], read(workspace.home), workspace.runs)
    with pytest.raises(UsageError, match="named twice"):
        opinions(PLAN, ["ollama:a", "ollama:a"], read(workspace.home), workspace.runs)


def run_cli(*words: str) -> Result:
    return CliRunner().invoke(main, ["opinion", *words])


def test_the_command_line(workspace: Workspace, models: dict[str, Any]) -> None:
    models |= {"ollama:a": ([1, 2, 3], GOOD), "openai:b": ([2, 3, 4], BAD)}
    options = [PLAN, "--opinion", "ollama:a", "--opinion", "openai:b", "--home", str(workspace.home)]
    told = run_cli(*options)
    assert told.exit_code == 0
    assert "all remove 2, 3; they differ on 1, 4" in told.stdout
    assert "not backed: 0.123 in" in told.stdout
    document = json.loads(run_cli(*options, "--json").stdout)
    assert [each["remove"] for each in document["opinions"]] == [[1, 2, 3], [2, 3, 4]]


def test_no_opinion_at_all_is_a_failure(workspace: Workspace) -> None:
    told = run_cli(PLAN, "--opinion", "offline", "--home", str(workspace.home))
    assert told.exit_code == 1
    assert "offline has no opinion; ask ollama:MODEL or openai:MODEL" in told.stdout


def test_the_schema_is_small() -> None:
    assert set(Recommendation.model_json_schema()["properties"]) == {"remove", "reason"}
