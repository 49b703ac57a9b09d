"""The tools of a conversation: what a model reads of them, what becomes of its arguments, how errors look to it."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from langchain_core.tools import BaseTool, ToolException
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError

from analyzers.errors import BadTarget, Cancelled, LayerwiseError, UnknownRun, UsageError
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, TrainRequest
from analyzers.requests import ExportRequest
from tests.fake_workflows import FakeWorkflows, workflows
from tests.sample_runs import evaluation_run, story, train_run
from tools.catalog import WORKFLOWS, catalog
from tools.workspace import Workspace

__all__ = ["workflows"]

NAMES = {
    *WORKFLOWS,
    "write_report",
    "list_runs",
    "search_runs",
    "show_run",
    "compare_runs",
    "delete_run",
    "explain_method",
    "list_capabilities",
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    for run in [*story(), evaluation_run()]:
        workspace.runs.save(run)
    return workspace


@pytest.fixture
def tools_by_name(workspace: Workspace) -> dict[str, BaseTool]:
    return {tool.name: tool for tool in catalog(workspace)}


def call(tool: BaseTool, **arguments: Any) -> tuple[dict[str, Any], list[str]]:
    """Content and artifact, as an agent calls it."""
    message = tool.invoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    return json.loads(message.content), message.artifact


def schemas() -> list[dict[str, Any]]:
    nowhere = Workspace(home=Path("/nowhere"), cache=Path("/nowhere"))
    return [convert_to_openai_tool(tool)["function"] for tool in catalog(nowhere)]


@pytest.mark.parametrize("schema", schemas(), ids=lambda schema: schema["name"])
def test_schemas_are_valid_and_every_argument_is_described(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema["parameters"])
    assert schema["name"] in NAMES
    assert len(schema["description"]) > 10
    for name, argument in schema["parameters"]["properties"].items():
        assert argument.get("description"), name
        assert argument["description"] != name.replace("_", " "), f"{name} is described by its name only"


def test_all_tools_are_there() -> None:
    assert {schema["name"] for schema in schemas()} == NAMES


@pytest.mark.parametrize(
    ("tool", "arguments", "request_"),
    [
        (
            "train_model",
            {"model": "demo:minilm", "data": "demo:amazon", "epochs": 5, "seed": 7},
            TrainRequest(model="demo:minilm", data="demo:amazon", epochs=5, seed=7),
        ),
        (
            "analyze_layers",
            {"model": "train-2a2a2a", "data": "demo:amazon", "methods": ["shap", "fisher"], "samples": 32},
            AnalyzeRequest(model="train-2a2a2a", data="demo:amazon", methods=("shap", "fisher"), samples=32),
        ),
        (
            "plan_compression",
            {"analysis": "analysis-3b3b3b", "ratio": 2},
            PlanRequest(analysis="analysis-3b3b3b", ratio=2),
        ),
        ("compress_model", {"plan": "plan-4c4c4c", "heal": "none"}, CompressRequest(plan="plan-4c4c4c", heal="none")),
        (
            "evaluate_model",
            {"model": "train-2a2a2a", "data": "demo:movie"},
            EvaluateRequest(model="train-2a2a2a", data="demo:movie"),
        ),
        (
            "export_model",
            {"model": "compression-5d5d5d", "format": "gguf"},
            ExportRequest(model="compression-5d5d5d", format="gguf"),
        ),
    ],
)
def test_arguments_become_the_request(
    tools_by_name: dict[str, BaseTool], workflows: FakeWorkflows, tool: str, arguments: dict[str, Any], request_: object
) -> None:
    content, artifact = call(tools_by_name[tool], **arguments)
    assert [request for _, request in workflows.asked] == [request_]
    assert artifact == [content["run"]]
    assert content["result"]


def test_resume_is_passed_on_beside_the_request(tools_by_name: dict[str, BaseTool], workflows: FakeWorkflows) -> None:
    call(tools_by_name["train_model"], model="m", data="d", resume=True)
    call(tools_by_name["train_model"], model="m", data="d")
    assert workflows.extra == [{"resume": True}, {"resume": False}]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("train_model", {"model": "m"}),
        ("train_model", {"model": "m", "data": "d", "epochs": 0}),
        ("analyze_layers", {"model": "m", "data": "d", "samples": 1}),
        ("compress_model", {"plan": "p", "heal": "magic"}),
        ("compare_runs", {"runs": ["train-2a2a2a"]}),
        ("list_runs", {"kind": "nonsense"}),
        ("write_report", {"runs": ["train-2a2a2a"], "format": "exe"}),
        ("search_runs", {"query": ""}),
    ],
)
def test_bad_arguments_are_refused_before_any_work(
    tools_by_name: dict[str, BaseTool], workflows: FakeWorkflows, tool: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        call(tools_by_name[tool], **arguments)
    assert workflows.asked == []


@pytest.mark.parametrize("targets", [{}, {"ratio": 2, "keep": 3}])
def test_a_plan_needs_exactly_one_target(
    tools_by_name: dict[str, BaseTool], workflows: FakeWorkflows, targets: dict[str, float]
) -> None:
    with pytest.raises(BadTarget, match="exactly one of --ratio"):
        call(tools_by_name["plan_compression"], analysis="analysis-3b3b3b", **targets)
    assert workflows.asked == []


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("show_run", {"run": "analysis-zzzzzz"}),
        ("show_run", {"run": "../../etc/passwd"}),
        ("compare_runs", {"runs": ["train-2a2a2a", "train-zzzzzz"]}),
        ("write_report", {"runs": ["train-zzzzzz"]}),
    ],
)
def test_an_unknown_run_names_the_newest(
    tools_by_name: dict[str, BaseTool], workflows: FakeWorkflows, tool: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(UnknownRun, match="the newest are evaluation-6e6e6e, compression-5d5d5d, plan-4c4c4c"):
        call(tools_by_name[tool], **arguments)


def test_an_error_of_a_workflow_leaves_the_next_call_free(
    tools_by_name: dict[str, BaseTool], workflows: FakeWorkflows
) -> None:
    def fail(_: Progress) -> None:
        raise LayerwiseError("the disk is full")

    workflows.before["train"] = fail
    with pytest.raises(LayerwiseError, match="the disk is full"):
        call(tools_by_name["train_model"], model="m", data="d")
    workflows.before.clear()
    assert call(tools_by_name["train_model"], model="m", data="d")[0]["model"] == "m"


def test_a_cancelled_progress_starts_nothing(workspace: Workspace, workflows: FakeWorkflows) -> None:
    def stopped() -> Progress:
        progress = Progress()
        progress.cancel()
        return progress

    train = next(tool for tool in catalog(workspace, stopped) if tool.name == "train_model")
    with pytest.raises(Cancelled):
        call(train, model="m", data="d")
    assert workflows.asked == []


def test_list_runs(tools_by_name: dict[str, BaseTool], workspace: Workspace) -> None:
    listing = tools_by_name["list_runs"]
    content, artifact = call(listing)
    assert artifact == [run["run"] for run in content["runs"]]
    assert artifact[0] == "evaluation-6e6e6e"
    assert call(listing, kind="plan")[1] == ["plan-4c4c4c"]
    assert call(listing, limit=2)[1] == ["evaluation-6e6e6e", "compression-5d5d5d"]
    # what started from the model, however far down the lineage
    workspace.runs.save(train_run(run_id="train-9other", model="demo:smollm2"))
    assert call(listing, model="demo:smollm2")[1] == ["train-9other"]
    assert "evaluation-6e6e6e" in call(listing, model="demo:minilm")[1]
    content, artifact = call(listing, best="accuracy", where=["accuracy>=0.5"], when="2020-01-01")
    assert (content["when"], artifact) == ("2020-01-01 to 2020-01-01", [])
    content, artifact = call(listing, best="accuracy")
    measured = [run["measured"]["value"] for run in content["runs"]]
    assert measured == sorted(measured, reverse=True)
    assert len(measured) > 2


def test_search_show_and_compare(tools_by_name: dict[str, BaseTool]) -> None:
    content, artifact = call(tools_by_name["search_runs"], query="importance of layers", limit=2)
    assert len(artifact) == 2
    assert 0 <= content["runs"][0]["similarity"] <= 1.01
    content, artifact = call(tools_by_name["show_run"], run="compression-5d5d5d")
    assert artifact == ["compression-5d5d5d"]
    assert content["result"]["times_as_fast"] == {"value": 1.87, "low": 1.8, "high": 1.95}
    content, artifact = call(tools_by_name["compare_runs"], runs=["train-2a2a2a", "compression-5d5d5d"])
    assert artifact == content["runs"] == ["train-2a2a2a", "compression-5d5d5d"]


def test_a_report_lands_in_the_home_only(
    tools_by_name: dict[str, BaseTool], workspace: Workspace, workflows: FakeWorkflows
) -> None:
    content, artifact = call(tools_by_name["write_report"], runs=["train-2a2a2a"], format="md")
    path = Path(content["report"])
    assert path.read_text() == "a report"
    assert path.parent == workspace.home / "reports"
    assert path.suffix == ".md"
    assert artifact == ["train-2a2a2a"]


def test_capabilities_name_what_there_is(tools_by_name: dict[str, BaseTool]) -> None:
    content, artifact = call(tools_by_name["list_capabilities"])
    assert artifact == []
    methods = {method["id"] for method in content["methods"]}
    assert methods >= {"fisher", "gradient", "ablation", "mutual_information", "conductance", "shap"}
    assert {model["id"] for model in content["models"]} >= {"demo:minilm", "demo:smollm2"}
    assert {data["id"] for data in content["datasets"]} >= {"demo:amazon", "demo:movie", "demo:nyt", "demo:tweets"}
    assert content["data_forms"]


@pytest.mark.parametrize("name", ["fisher", "shap", "fidelity", "healing"])
def test_explanations_have_both_languages_and_a_source(tools_by_name: dict[str, BaseTool], name: str) -> None:
    content, _ = call(tools_by_name["explain_method"], name=name)
    assert content["text"]
    assert content["text_zh"]
    assert content["sources"]


def test_an_unknown_method_names_the_known(tools_by_name: dict[str, BaseTool]) -> None:
    with pytest.raises(UsageError, match=r"nothing is known about 'magic'; there are: .*fisher"):
        call(tools_by_name["explain_method"], name="magic")


def test_no_tool_hides_its_errors(tools_by_name: dict[str, BaseTool]) -> None:
    """The agent's middleware turns errors into messages; a tool that did it too would hide Cancelled."""
    assert all(not tool.handle_tool_error and not tool.handle_validation_error for tool in tools_by_name.values())
    assert not issubclass(Cancelled, ToolException)


def test_a_model_does_not_choose_where_files_are_written(tools_by_name: dict[str, BaseTool]) -> None:
    assert "output" not in tools_by_name["export_model"].args
    assert {"model", "format", "remove"} <= set(tools_by_name["export_model"].args)
