"""The 60 cases: how they are judged, and that the built-in planner passes them."""

from pathlib import Path

import pytest

from agent.evaluation.cases import OWN, WORK, Case, Expected, Made, judge, load_cases
from agent.evaluation.recorded import RecordedWorkflows, furnish
from agent.llm import LanguageModel
from agent.planner import Planner
from analyzers.errors import UsageError
from tests.agent.planner.conversation import Conversation
from tools.catalog import catalog
from tools.workspace import Workspace

CASES = load_cases(OWN)
TARGET = 0.95
PLANNER = LanguageModel(Planner(), "offline", "asked")


def problems_of(case: Case, home: Path) -> list[str]:
    """The case with the planner alone, without an agent around it."""
    workspace = Workspace(home=home / case.name, cache=home)
    furnish(workspace, case.state, case.taint)
    talk = Conversation(workspace)
    talk.tools = {tool.name: tool for tool in catalog(workspace, workflows=RecordedWorkflows())}
    problems = []
    for turn in case.turns:
        answer = talk.say(turn.say)
        problems += judge(turn, [Made(name, arguments) for name, arguments in talk.calls], answer)
    return problems


def test_the_planner_passes_nearly_all_cases(tmp_path: Path) -> None:
    failed = {case.name: problems for case in CASES if (problems := problems_of(case, tmp_path))}
    assert 1 - len(failed) / len(CASES) >= TARGET, failed
    assert not [case.name for case in CASES if case.refrains and case.name in failed]


def test_the_cases_are_what_was_promised() -> None:
    assert len(CASES) >= 60
    groups = {case.group for case in CASES}
    assert groups == {"single", "steps", "follow-up", "unclear", "talk", "hostile"}
    chinese = [case for case in CASES if any("\u4e00" <= char <= "\u9fff" for char in case.turns[0].say)]
    assert len(chinese) >= 12
    names = {tool.name for tool in catalog(Workspace(home=Path("/nowhere"), cache=Path("/nowhere")))}
    for case in CASES:
        for turn in case.turns:
            assert {call.tool for call in turn.work} <= set(WORK)
            assert {*turn.looks.split("|")} - {""} <= names
            assert turn.work or turn.looks or turn.has or turn.asks or turn.refrain, case.name


TRAIN = Made("train_model", {"model": "demo:minilm", "data": "demo:amazon", "epochs": 3})


@pytest.mark.parametrize(
    ("wish", "made", "answer", "wrong"),
    [
        ({"work": [{"tool": "train_model", "arguments": {"data": "demo:amazon"}}]}, [TRAIN], "done", []),
        (
            {"work": [{"tool": "train_model", "arguments": {"data": "demo:movie"}}]},
            [TRAIN],
            "done",
            ["train_model: data is 'demo:amazon' instead of 'demo:movie'"],
        ),
        ({"work": [{"tool": "train_model"}]}, [], "done", ["no work instead of train_model"]),
        ({"work": [{"tool": "train_model"}]}, [TRAIN, TRAIN], "x", ["train_model, train_model instead of train_model"]),
        ({"work": [{"tool": "train_model"}]}, [TRAIN._replace(failed=True), TRAIN], "done", []),
        (
            {"work": [{"tool": "train_model", "arguments": {"model": "$train"}}]},
            [TRAIN],
            "x",
            ["train_model: model is"],
        ),
        ({"work": [{"tool": "train_model", "arguments": {"epochs": [2, 3]}}]}, [TRAIN], "x", []),
        ({"refrain": True}, [Made("list_runs", {})], "hi", ["called list_runs where nothing was to be called"]),
        ({"refrain": True}, [], "hi", []),
        ({"refrain": True}, [], " ", ["no answer"]),
        ({"asks": True}, [], "Which data set?", []),
        ({"asks": True}, [], "用哪个数据集？", []),
        ({"asks": True}, [], "done", ["did not ask"]),
        ({"looks": "show_run|list_runs"}, [Made("list_runs", {})], "x", []),
        ({"looks": "show_run"}, [Made("show_run", {}, failed=True)], "x", ["did not call show_run"]),
        ({"has": [r"\b5\b"]}, [], "layer 51", [r"does not say \b5\b"]),
        ({"never": ["100 ?%"]}, [], "it is 100 %", ["says 100 %"]),
    ],
)
def test_a_turn_is_judged(wish: dict, made: list[Made], answer: str, wrong: list[str]) -> None:
    found = judge(Expected.model_validate({"say": "x", **wish}), made, answer)
    assert len(found) == len(wrong)
    for problem, start in zip(found, wrong, strict=True):
        assert problem.startswith(start)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "holds no case"),
        ("a: [", "is no list of cases"),
        ("- {name: x, group: g, turns: []}", "turns"),
        ("- {name: x, group: g, turns: [{say: hi, works: 1}]}", "works"),
        ("- &a {name: x, group: g, turns: [{say: hi}]}\n- *a", "two cases of the name x"),
    ],
)
def test_a_file_that_holds_no_cases(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "cases.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        load_cases(path)
    with pytest.raises(UsageError, match="cannot read"):
        load_cases(tmp_path / "none.yaml")
