"""Calls out of text and schemas, few tools, values that were said, and turns that end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent.chat import ChatSession
from agent.evaluation.cases import OWN, load_cases
from agent.events import Answer, Failed, ToolFailed, ToolFinished, ToolStarted
from agent.llm import LanguageModel
from agent.strategies import in_order
from agent.strategies.arguments import json_schema, problem_of, tool_named
from agent.strategies.calling import TOKENS, _over
from agent.strategies.candidates import candidates, first_step
from agent.strategies.said import Said, question_for
from agent.strategies.schema import GOALS
from agent.strategies.shown import needed_first, shown
from agent.strategies.text import attempted, call_in
from prompts import load
from tests.agent.scripted import Scripted
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tests.sample_runs import analysis_run, story, train_run
from tools.catalog import catalog
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]

TOOLS = catalog(Workspace(home=Path("/nowhere"), cache=Path("/nowhere")))
SHOW = {"name": "show_run", "arguments": {"run": "plan-4c4c4c"}}


@pytest.fixture
def talk(tmp_path: Path, no_index: None, workflows: FakeWorkflows) -> Iterator[Any]:
    """Begins a conversation with a model that says the steps, of a grade, in a home with runs."""
    sessions = []

    def begin(grade: Any, *steps: Any, runs: Any = (), context: int | None = None) -> tuple[ChatSession, Scripted]:
        workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
        for run in runs:
            workspace.runs.save(run)
        model = Scripted(steps=list(steps))
        llm = LanguageModel(model, "ollama:scripted", "asked", grade=grade, context=context)
        sessions.append(ChatSession(llm, workspace, approve="all"))
        return sessions[-1], model

    yield begin
    for session in sessions:
        session.close()


def chosen(*steps: str) -> str:
    return json.dumps({"steps": steps})


def called(events: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, event.arguments) for event in events if isinstance(event, ToolStarted)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SHOW),
        f"```json\n{json.dumps(SHOW, indent=2)}\n```",
        f"Let me look.\n```\n{json.dumps(SHOW)}\n```\nOne moment.",
        f"<tool_call>\n{json.dumps(SHOW)}\n</tool_call>",
        f"<tool_call>{json.dumps(SHOW)}",
        f"I will look at the plan: {json.dumps(SHOW)}",
        '{"tool": "show_run", "parameters": {"run": "plan-4c4c4c"}}',
        '{"type": "function", "function": {"name": "show_run", "arguments": "{\\"run\\": \\"plan-4c4c4c\\"}"}}',
    ],
)
def test_a_printed_call_is_found(text: str) -> None:
    assert call_in(text, TOOLS) == ("show_run", {"run": "plan-4c4c4c"})


@pytest.mark.parametrize(
    ("text", "tried"),
    [
        ("The plan removes layers 1, 2, 3.", False),
        ('{"accuracy": 0.89}', False),
        ('{"name": "rm", "arguments": {"path": "/"}}', True),  # no such tool
        ('{"name": "show_run", "arguments": {"run": "a", "force": true}}', True),  # no such argument
        ('{"name": "show_run", "arguments": {}}', True),  # it needs one
        ('{"name": "show_run", "arguments": {"run": ', True),  # cut
        ('The data says {"name": "show_run", "arguments": {"run": "x"}} in row 3.', False),  # quoted in a sentence
        ("", False),
    ],
)
def test_what_matches_no_tool_stays_text(text: str, tried: bool) -> None:
    assert call_in(text, TOOLS) is None
    assert attempted(text) is tried


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("train_model", {"model": "m"}, "train_model needs data; it is demo:amazon"),
        ("show_run", {"id": "x"}, "show_run has no argument 'id'; there are: run"),
        ("plan_compression", {"analysis": "a", "objective": "speed"}, "allowed are: metric, loss, kl"),
        ("compare_runs", {"runs": ["a"]}, "at least 2 items"),
        ("list_runs", {"limit": 99}, "limit=99: Input should be less than or equal to 50"),
        ("list_capabilities", {"x": 1}, "there are: none"),
    ],
)
def test_what_is_wrong_with_arguments_is_said_with_what_is_allowed(tool: str, arguments: dict, says: str) -> None:
    found = tool_named(tool, TOOLS)
    assert found is not None
    assert says in (problem_of(found, arguments) or "")


def test_good_arguments_are_no_problem() -> None:
    found = tool_named("plan_compression", TOOLS)
    assert found is not None
    assert problem_of(found, {"analysis": "analysis-3b3b3b", "ratio": 2}) is None


def said(*texts: str, runs: Any = ()) -> Said:
    return Said.of([HumanMessage(text) for text in texts], sorted(runs, key=lambda run: run.created, reverse=True))


def names(tools: Any) -> set[str]:
    return {tool.name for tool in tools}


def test_few_tools_are_shown() -> None:
    empty = names(shown(TOOLS, said("hello")))
    assert empty == {"train_model", "analyze_layers", "evaluate_model", "explain_method", "list_capabilities"}
    trained = names(shown(TOOLS, said("hello", runs=[train_run()])))
    assert "show_run" in trained
    assert not trained & {"plan_compression", "compress_model", "compare_runs", "search_runs"}
    assert "plan_compression" in names(shown(TOOLS, said("hello", runs=[train_run(), analysis_run()])))
    assert "compress_model" in names(shown(TOOLS, said("hello", runs=story())))
    assert set(GOALS) == names(TOOLS) - {"delete_run"}  # a model that needs a schema is not shown what deletes


def test_the_way_to_a_step_is_known() -> None:
    assert needed_first("compress_model", said("go", runs=[train_run()])) == "analyze_layers"
    assert needed_first("compress_model", said("go", runs=[train_run(), analysis_run()])) == "plan_compression"
    assert first_step("compress_model", said("do it", runs=story())) == "compress_model"
    assert first_step("compress_model", said("make it 3x smaller", runs=story())) == "plan_compression"
    assert first_step("analyze_layers", said("analyze minilm on amazon")) == "train_model"  # it has no head
    assert first_step("analyze_layers", said("analyze minilm on amazon", runs=[train_run()])) == "analyze_layers"


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        (
            "train minilm on the tweets for 2 epochs",
            "train_model",
            {"model": "demo:minilm", "data": "demo:tweets", "epochs": 2},
        ),
        ("make it twice as fast", "plan_compression", {"analysis": "analysis-3b3b3b", "ratio": 2}),
        ("remove two layers", "plan_compression", {"analysis": "analysis-3b3b3b", "keep": 4}),
        ("do it", "compress_model", {"plan": "plan-4c4c4c"}),
        ("evaluate compression-5d5d5d on the movie reviews", "evaluate_model", {"data": "demo:movie"}),
        ("show me plan-4c4c4c", "show_run", {"run": "plan-4c4c4c"}),
        (
            "export compression-5d5d5d for Ollama as q8_0, without layers 1 and 2",
            "export_model",
            {"format": "gguf", "precision": "q8_0", "remove": [1, 2]},
        ),
        (
            "which plans on the tweets last week?",
            "list_runs",
            {"kind": "plan", "data": "demo:tweets", "when": "last week"},
        ),
    ],
)
def test_what_was_said_settles_the_arguments(text: str, tool: str, arguments: dict) -> None:
    found = tool_named(tool, TOOLS)
    assert found is not None
    settled, _ = candidates(tool, json_schema(found), said(text, runs=story()))
    assert {**settled, **arguments} == settled


def test_a_list_of_runs_needs_nothing_from_anybody() -> None:
    """Its model and data are filters: what nobody said is neither filled in nor asked for."""
    found = tool_named("list_runs", TOOLS)
    assert found is not None
    known = said("list my runs", runs=story())
    assert candidates("list_runs", json_schema(found), known) == ({}, {})
    assert question_for("list_runs", {"data": "demo:amazon"}, known) is None


def test_it_is_what_was_spoken_of_before_it_is_the_newest_run() -> None:
    found = tool_named("show_run", TOOLS)
    assert found is not None
    told = ToolMessage(json.dumps({"run": "train-2a2a2a"}), tool_call_id="1", name="show_run")
    talk = [HumanMessage("show the first training"), told, HumanMessage("and how fast is it?")]
    newest = [*story()][::-1]
    assert candidates("show_run", json_schema(found), Said.of(talk, newest)) == ({"run": "train-2a2a2a"}, {})
    talk[-1] = HumanMessage("tell me more")
    _, left = candidates("show_run", json_schema(found), Said.of(talk, newest))
    assert left["run"]["enum"][:2] == ["train-2a2a2a", newest[0].id]


def test_after_a_training_older_analyses_do_not_count() -> None:
    new = train_run(run_id="train-9z9z9z")
    told = ToolMessage(json.dumps({"run": new.id}), tool_call_id="1", name="train_model")
    known = Said.of([HumanMessage("train and compress"), told], [new, *story()])
    assert known.of_kind("analysis") == []
    assert needed_first("compress_model", known) == "analyze_layers"
    assert known.models() == [new.id]


@pytest.mark.parametrize(
    ("text", "tool", "arguments", "asks"),
    [
        (
            "train minilm",
            "train_model",
            {"model": "demo:minilm", "data": "demo:amazon"},
            "Which data set for demo:minilm",
        ),
        ("train on amazon", "train_model", {"model": "demo:minilm", "data": "demo:amazon"}, "Which model"),
        ("smaller please", "plan_compression", {"analysis": "a", "keep": 3}, "How small"),
        ("训练 minilm", "train_model", {"model": "demo:minilm", "data": "demo:amazon"}, "用哪个数据集|哪个数据"),
        ("train minilm on amazon", "train_model", {"model": "demo:minilm", "data": "demo:amazon"}, None),
        ("train my/model on hf:mine", "train_model", {"model": "my/model", "data": "hf:mine"}, None),
        ("keep 3", "plan_compression", {"analysis": "a", "keep": 3}, None),
    ],
)
def test_a_value_that_nobody_said_is_asked_for(text: str, tool: str, arguments: dict, asks: str | None) -> None:
    found = question_for(tool, arguments, said(text))
    if asks is None:
        assert found is None
    else:
        assert found is not None
        assert any(each in found for each in asks.split("|"))


def test_a_printed_call_is_executed_whatever_the_grade(talk: Any) -> None:
    for grade in (None, "native", "text"):
        session, _ = talk(grade, json.dumps(SHOW), "It removes three layers.", runs=story())
        events = list(session.stream("show me plan-4c4c4c"))
        assert called(events) == [("show_run", {"run": "plan-4c4c4c"})]
        assert events[-1].text == "It removes three layers."


def test_a_bad_printed_call_falls_back_to_the_schema(talk: Any) -> None:
    bad = '{"name": "show_runs", "arguments": {"id": "plan-4c4c4c"}}'
    session, model = talk("native", bad, bad, chosen("show_run"), "It removes three layers.", runs=story())
    assert called(list(session.stream("show me plan-4c4c4c"))) == [("show_run", {"run": "plan-4c4c4c"})]
    assert len(model.seen) == 4


@pytest.mark.parametrize("context", [None, 2048])  # a model that reads little does not make the answer shorter
def test_the_schema_takes_all_steps_at_once_and_those_they_need(
    talk: Any, workflows: FakeWorkflows, context: int | None
) -> None:
    session, model = talk("schema", chosen("train_model", "compress_model"), context=context)
    events = list(session.stream("train minilm on amazon and make it twice as fast"))
    assert workflows.names == ["train", "analyze", "plan", "compress"]
    assert len(model.seen) == 1
    assert isinstance(events[-1], Answer)
    assert events[-1].grounded
    assert "1.87" in events[-1].text


def test_the_schema_refrains_and_asks(talk: Any) -> None:
    session, _model = talk("schema", chosen("answer"), "Hello!", chosen("train_model"))
    events = list(session.stream("hello"))
    assert (called(events), events[-1].text) == ([], "Hello!")
    events = list(session.stream("train minilm"))
    assert called(events) == []
    assert events[-1].text.startswith("Which data set for demo:minilm?")


def test_a_server_that_ignores_the_schema_is_read_as_text(talk: Any) -> None:
    session, _ = talk("schema", "Sure, here you go", json.dumps(SHOW), "no json", "Three layers.", runs=story())
    events = list(session.stream("show me plan-4c4c4c"))
    assert called(events) == [("show_run", {"run": "plan-4c4c4c"})]


def test_no_token_of_a_choice_reaches_the_user(talk: Any) -> None:
    session, _ = talk("schema", chosen("answer"), "Hello!")
    shown_text = "".join(
        getattr(event, "text", "") for event in session.stream("hello") if not isinstance(event, Answer)
    )
    assert "steps" not in shown_text


def test_an_unknown_tool_comes_back_with_the_list(talk: Any) -> None:
    session, _model = talk("native", ("make_coffee", {}), "I cannot.")
    (failed,) = [event for event in session.stream("coffee") if isinstance(event, ToolFailed)]
    assert "no tool 'make_coffee'; there are: train_model, analyze_layers" in failed.message
    assert "compress_model" not in failed.message


@pytest.mark.parametrize(
    ("text", "precision", "remove"),
    [
        ("export compression-5d5d5d as ONNX", None, ()),
        ("export compression-5d5d5d for Ollama as f16", "f16", ()),
        ("export compression-5d5d5d without layers 1 and 2", None, (1, 2)),
    ],
)
def test_of_an_export_what_nobody_spoke_of_is_left_out(
    talk: Any, workflows: FakeWorkflows, text: str, precision: str | None, remove: tuple[int, ...]
) -> None:
    call = ("export_model", {"model": "compression-5d5d5d", "precision": "f16", "remove": [1, 2]})
    session, _ = talk("native", call, "Done.", runs=story())
    list(session.stream(text))
    asked = workflows.asked[0][1]
    assert (asked.precision, asked.remove) == (precision, remove)


def test_the_same_call_with_the_same_result_ends_the_turn(talk: Any) -> None:
    session, model = talk("native", ("list_runs", {}), runs=story())
    events = list(session.stream("list my runs"))
    assert len([event for event in events if isinstance(event, ToolFinished)]) == 2
    assert len(model.seen) == 2
    assert "same call twice" in events[-1].text
    assert "compression-5d5d5d" in events[-1].text


def test_a_turn_has_a_limit_of_tokens() -> None:
    usage = {"input_tokens": TOKENS - 1, "output_tokens": 1, "total_tokens": TOKENS}
    call = {"name": "list_runs", "args": {}, "id": "c1"}
    greedy = AIMessage("", tool_calls=[call], usage_metadata=usage)
    result = ToolMessage("[]", tool_call_id="c1", name="list_runs")
    assert _over([greedy, result]) == "limit"
    assert _over([greedy.model_copy(update={"usage_metadata": None}), result]) is None


def test_the_order_follows_the_grade() -> None:
    orders = {grade: [each.name for each in in_order(grade)] for grade in (None, "native", "text", "schema")}
    assert orders == {
        None: ["native", "text", "schema"],
        "native": ["native", "text", "schema"],
        "text": ["text", "schema"],
        "schema": ["schema", "text"],
    }


def test_nothing_that_works_is_one_sentence(talk: Any) -> None:
    session, _ = talk(None, "")
    end = list(session.stream("hello"))[-1]
    assert isinstance(end, Failed)
    assert "layerwise doctor" in end.message


def test_the_examples_that_a_model_sees_are_no_cases() -> None:
    seen = {message.casefold().strip("?？.!。") for message, *_ in yaml.safe_load(load("choices.yaml"))}
    asked = {turn.say.casefold().strip("?？.!。") for case in load_cases(OWN) for turn in case.turns}
    assert not seen & asked


def test_a_follow_up_is_chosen_with_what_was_chosen_before(talk: Any) -> None:
    session, model = talk("schema", chosen("train_model"))
    list(session.stream("train minilm"))
    list(session.stream("on amazon"))
    before, choice, now = model.seen[1][-3:]
    assert (before.text, choice.text, now.text) == ("train minilm", chosen("train_model"), "on amazon")
