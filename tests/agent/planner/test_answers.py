"""Every template answer in both languages: no undefined value, the run cited, each number from its facts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agent.approvals import Why
from agent.grounding import check, facts_of
from agent.planner import answers
from agent.planner.answers import measured, number, render, value
from analyzers.importance import methods
from analyzers.records import Measurement, Run
from knowledge.comparison import compare
from knowledge.notes import names, note
from knowledge.runs import RunStore
from prompts import load
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, story, train_run
from tools.estimates import Forecast, Forecasts
from tools.facts import brief, facts
from tools.workload import NO_RUN, NO_SIZE

LANGUAGES = ("en", "zh")
NOWHERE = RunStore(Path("/nowhere"), embedder_folder=None)
MACROS = re.findall(r"{% macro (\w+)\(", load("answers.en.j2"))


def told(run: Run) -> dict[str, Any]:
    return dict(json.loads(json.dumps(facts(run, NOWHERE))))


def explained(name: str) -> dict[str, Any]:
    found = note(name)
    return {"name": name, **found.model_dump(include={"title", "title_zh", "text", "text_zh", "sources"})}


def perplexity() -> Run:
    """A compression of a language model, healed in vain."""
    run = compression_run()
    result = run.result.model_copy(update={"metric": "perplexity"})
    result = result.model_copy(update={"verified": result.verified.model_copy(update={"same_text": True})})
    named = [
        Measurement(name="perplexity", subject="dense", split="test", value=21.4, low=20.1, high=22.9, n=32),
        Measurement(name="perplexity", subject="compressed", split="test", value=29.9, low=28.0, high=31.5, n=32),
        Measurement(name="perplexity_ratio", subject="compressed/dense", split="test", value=1.4, low=1.3, high=1.5, n=32),
        Measurement(name="speedup", subject="compressed/dense", value=1.8, low=1.7, high=1.9, unit="×", n=40),
        Measurement(name="disk_mb", subject="compressed", value=269.0, unit="MB"),
    ]  # fmt: skip
    return run.model_copy(update={"measurements": named, "result": result})


TRAIN, ANALYSIS, PLAN, COMPRESSION = (told(run) for run in story())
EVALUATION = told(evaluation_run())
BARE_PLAN = told(plan_run(result=plan_run().result.model_copy(update={"candidates": []})))
ONE_METHOD = told(
    analysis_run(
        result=analysis_run().result.model_copy(
            update={
                "scores": {"shap": analysis_run().result.scores["shap"]},
                "agreement": analysis_run().result.agreement.model_copy(update={"kendall_w": None, "tau": {}}),
                "fidelity": {},
                "believe": None,
            }
        )
    )
)
EXPORTS = [
    told(export_run()),
    told(export_run(result=export_run().result.model_copy(update={"copied": False, "precision": "q8_0"}))),
    told(
        export_run(
            result=export_run().result.model_copy(
                update={"format": "hf", "copied": False, "removed": [], "commands": []}
            ),
            measurements=export_run().measurements[1:],
        )
    ),
]
FAILED = told(train_run(status="failed", result=None, measurements=[], error="the data has no rows"))
CAPABILITIES = {
    "methods": [{"id": "shap", "title": "SHAP", "unit": "nats", "cost": "x", "source": "s", "summary": "Shapley."}],
    "models": [{"id": "demo:minilm", "about": "an encoder"}],
    "model_forms": ["demo:NAME"],
    "datasets": [{"id": "demo:amazon", "about": "reviews"}],
    "data_forms": ["csv:PATH"],
}
COMPARED = compare([train_run(), compression_run()]).model_dump(mode="json")
COMPARED_ANALYSES = compare([analysis_run(), analysis_run(run_id="analysis-7c7c7c", seed=4)]).model_dump(mode="json")

SECONDS = Forecast(value=183.5, n=4, runs=("train-2a2a2a", "train-3a3a3a", "train-4a4a4a", "train-5a5a5a"), basis="x")
WAITS = [
    Why(reason="long", estimate=Forecasts(seconds=SECONDS, unknown={"memory_mb": NO_SIZE, "disk_mb": NO_SIZE})),
    Why(reason="deletes", dependants=("plan-4c4c4c",)),
]

# template, values; those with a run must cite it
WHEN = "2026-11-16 to 2026-11-22"
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {"waiting": waiting}) for name in ("greeting", "thanks", "farewell", "affirm") for waiting in (True, False)),
    *((name, {}) for name in ("abilities", "help", "denied", "delete")),
    *(("not_understood", {"asked": asked}) for asked in (None, "data", "model", "target", "goal")),
    *(("ask_model", {"runs": runs}) for runs in ([], ["train-2a2a2a"])),
    *(("ask_data", {"model": "demo:minilm", "proposed": proposed}) for proposed in (None, "demo:amazon")),
    *(("ask_target", {"layers": layers}) for layers in ((), (1, 2))),
    ("ask_ratio", {}),
    ("ask_goal", {"models": ("demo:minilm",), "data": ()}),
    *(("ask_one", {"what": what, "values": ("a", "b")}) for what in ("model", "data")),
    *(("failed", {"tool": "train_model", "message": "no rows", "kept": kept, "rest": ()}) for kept in ([], ["train-2a2a2a"])),
    *(
        ("ended", {"why": why, "reason": "it cannot be reached", "told": told, "failed": failed})
        for why, told, failed in (("lost", "**Told**", []), ("repeated", "", ["no rows"]), ("limit", "", []))
    ),
    *(("instead", {"told": told}) for told in ("", "x")),
    *(("refused", {"tool": "train_model", "message": said, "kept": kept, "rest": ()}) for said, kept in (("", []), ("no", ["train-2a2a2a"]))),
    *(("deleted", {"gone": [{"deleted": "plan-4c4c4c", "left_without_source": left}]}) for left in ([], ["compression-5d5d5d"])),
    *(("approval", {"tool": "train_model", "arguments": {"model": "demo:minilm", "epochs": 1}, "why": why, "decisions": ("change",) if why.reason == "long" else ()}) for why in WAITS),
    ("waits", {"tool": "train_model", "session": "x"}),
    *(("foreseen", {"found": found, "unit": "s", "unknown": NO_RUN}) for found in (None, SECONDS)),
    ("how", {"steps": ["train", "analyze", "plan", "compress", "evaluate", "export", "report", "do_it"]}),
    *(("nothing_yet", {"what": what}) for what in ("analysis", "run")),
    ("trained", {"run": TRAIN}),
    ("order", {"run": ANALYSIS}),
    *((name, {"run": run}) for name in ("analyzed", "fidelities", "agreement_line") for run in (ANALYSIS, ONE_METHOD)),
    *(("agreement", {"run": run, "note": explained("agreement"), "methods": methods}) for run, methods in ((ANALYSIS, list(ANALYSIS["result"]["methods"])), (ANALYSIS, ["shap"]), (ANALYSIS, ["shap", "fisher"]), (ONE_METHOD, ["shap"]))),
    *(("planned", {"run": run}) for run in (PLAN, BARE_PLAN)),
    *((name, {"run": run}) for name in ("compressed", "quality_lines", "speed_lines") for run in (COMPRESSION, told(perplexity()))),
    ("evaluated", {"run": EVALUATION}),
    *(("exported", {"run": run}) for run in EXPORTS),
    *(("reported", {"path": "/home/x/report.html", "runs": ["plan-4c4c4c"], "wanted": wanted, "told_in": language}) for wanted in (None, "/tmp/x/r.html") for language in (None, "zh")),
    *(("shown", {"run": run}) for run in (TRAIN, ANALYSIS, PLAN, COMPRESSION, EVALUATION, *EXPORTS, FAILED)),
    *(("ranking", {"run": ANALYSIS, "least": least, "methods": methods, "place": place}) for least in (True, False) for methods in (list(ANALYSIS["result"]["methods"]), ["shap"]) for place in (0, 1)),
    *(("not_scored", {"run": ANALYSIS, "methods": methods}) for methods in (["taylor"], list(ANALYSIS["result"]["methods"]))),
    ("no_such_layer", {"run": ANALYSIS, "layers": [17]}),
    *(("why_layer", {"run": ANALYSIS, "plan": plan, "layers": (0, 2), "methods": list(ANALYSIS["result"]["methods"]), "notes": [explained("shap")]}) for plan in (None, PLAN, BARE_PLAN)),
    *(("method_note", {"note": explained(name)}) for name in names()),
    ("method_note", {"note": {"name": "new", "title": "New", "summary": "A new one.", "source": "https://arxiv.org/abs/1"}}),
    *(("believe", {"run": run, "notes": found}) for run, found in ((ANALYSIS, [explained("shap"), explained("fidelity")]), (ONE_METHOD, [explained("fidelity")]))),
    *(("speed", {"run": run}) for run in (PLAN, COMPRESSION, EVALUATION, TRAIN)),
    *(("quality", {"run": run, "metrics": metrics}) for run in (PLAN, COMPRESSION, EVALUATION, TRAIN) for metrics in ([], ["accuracy"])),
    ("quality", {"run": COMPRESSION, "metrics": ["f1"]}),
    *(("not_measured", {"run": PLAN, "metrics": ("f1",), "there": there}) for there in ([], ["accuracy"])),
    *(("provenance", {"run": run}) for run in (TRAIN, ANALYSIS, PLAN, COMPRESSION, EVALUATION)),
    *(("runs", {"runs": runs, "when": when}) for runs in ([], [brief(run, NOWHERE) for run in story()]) for when in (None, WHEN)),
    *(
        ("best", {"runs": [brief(run, NOWHERE, name) for run in runs], "when": when, "measurement": name})
        for name, runs in (
            ("accuracy", []),
            ("parameters", [compression_run()]),
            ("accuracy", [compression_run(), train_run()]),
        )
        for when in (None, WHEN)
    ),
    *(("subject_name", {"subject": subject}) for subject in ("planned", "healed")),
    *(("one_run", {"runs": runs}) for runs in ([], ["plan-4c4c4c"])),
    *(("comparison", {"compared": compared}) for compared in (COMPARED, COMPARED_ANALYSES)),
    ("explained", {"notes": [explained("fisher"), explained("shap")]}),
    *((name, {"known": CAPABILITIES}) for name in ("methods", "models", "datasets")),
]  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("name", "values"), CASES, ids=[f"{i}-{name}" for i, (name, _) in enumerate(CASES)])
def test_an_answer_is_whole_and_grounded(language: Any, name: str, values: dict[str, Any]) -> None:
    text = render(language, name, **values)
    assert text
    for unwanted in ("None", "Undefined", "{{", "}}", "{%", "%}", "nan", "  ", "\n\n\n"):
        assert unwanted not in text, unwanted
    assert bool(re.search("[\u4e00-\u9fff]", text)) == (language == "zh") or name in (
        "method_note",
        "methods",
        "runs",
        "subject_name",
    )
    if "run" in values:
        assert values["run"]["run"] in text
    if name in ("approval", "foreseen"):  # a question, no answer
        return
    results = [json.dumps(each) for each in values.values()]
    if name not in (
        "delete",
        "abilities",
        "greeting",
        "help",
        "affirm",
        "not_understood",
        "how",
    ):  # examples, no results
        assert check(text, facts_of(results, said="你 1 2")).unsupported == ()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "values"),
    [(name, values) for name, values in CASES if name in ("planned", "compressed", "evaluated", "provenance", "quality",
                                                          "ranking", "speed", "trained", "why_layer")],
)  # fmt: skip
def test_the_run_stands_with_each_number(language: Any, name: str, values: dict[str, Any]) -> None:
    for line in render(language, name, **values).splitlines():
        if re.search(r"\d\.\d", line) and "http" not in line and not line.startswith("**SHAP"):
            assert re.search(r"\b[a-z]+-\w{6}\b", line), line


def test_every_template_is_tried_and_there_in_both_languages() -> None:
    assert {name for name, _ in CASES} == set(MACROS)
    assert re.findall(r"{% macro (\w+\([^)]*\))", load("answers.en.j2")) == re.findall(
        r"{% macro (\w+\([^)]*\))", load("answers.zh.j2")
    )


@pytest.mark.parametrize(
    ("language", "kept", "fast"),
    [
        ("en", "keeps **98.0 % [95.9 to 100.2]** of the accuracy", "**1.87 [1.80 to 1.95] times as fast**"),
        ("zh", "保留了原模型准确率的 **98.0 % [95.9 至 100.2]**", "**1.87 [1.80 至 1.95] 倍**"),
    ],
)
def test_a_compression_tells_its_measured_ratios_with_intervals(language: Any, kept: str, fast: str) -> None:
    text = render(language, "compressed", run=COMPRESSION)
    assert kept in text
    assert fast in text
    assert between("88.1 % [85.0 to 90.9]", language) in text  # of the healed model
    assert between("84.6 % [81.2 to 87.7]", language) in text  # before healing


@pytest.mark.parametrize(
    ("language", "grown"),
    [
        ("en", "perplexity is **1.40 [1.30 to 1.50] times** that of the dense model"),
        ("zh", "是原模型的 **1.40 [1.30 至 1.50] 倍**"),
    ],
)
def test_a_perplexity_grows(language: Any, grown: str) -> None:
    text = render(language, "compressed", run=told(perplexity()))
    assert grown in text
    assert between("1.80 [1.70 to 1.90]", language) in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_evaluation_shows_what_it_measured(language: Any) -> None:
    run = evaluation_run()
    speed = Measurement(name="latency_ms", subject="model", value=6.1, low=5.9, high=6.4, n=40, unit="ms for 16 texts")
    timed = told(run.model_copy(update={"measurements": [*run.measurements, speed]}))
    for name in ("evaluated", "speed"):
        assert between("6.10 ms for 16 texts [5.90 to 6.40]", language) in render(language, name, run=timed)
    assert between("75.2 % [72.9 to 77.4]", language) in render(language, "evaluated", run=timed)


def between(text: str, language: str) -> str:
    return text.replace(" to ", {"en": " to ", "zh": " 至 "}[language])


def test_the_units_of_all_methods_are_told_in_chinese() -> None:
    for method in methods():
        score = {"value": 0.00385, "low": 0.002, "high": 0.005}
        run = told_by(method.id, method.unit, score)
        told = render("zh", "why_layer", run=run, plan=None, layers=(0,), methods=[method.id], notes=[])
        assert check(told, facts_of([json.dumps(run)])).unsupported == ()
        line = next(line for line in told.splitlines() if line.startswith("- "))
        assert "[0.00200 至 0.00500]" in line
        unit = line.partition("：")[2].partition("，")[0]
        assert not re.search("[a-z]{3,}", unit.replace("nats", "").replace("logit", "").replace("CKA", "")), unit


def told_by(method: str, unit: str, score: dict[str, float]) -> dict[str, Any]:
    scored = {"unit": unit, "scores": [{**score, "layer": 0, "rank": 1}]}
    return {**ANALYSIS, "result": {**ANALYSIS["result"], "methods": {method: scored}}}


def test_an_undefined_value_is_an_error() -> None:
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render("en", "no_such_layer", run={"run": "analysis-3b3b3b"}, layers=[1])


def test_numbers() -> None:
    assert number(3.0) == "3"
    assert number(0.742) == "0.742"
    assert number(22_700_000, "parameters") == "22.7 M"
    assert value({"value": 0.899, "low": 0.871, "high": 0.925}, "accuracy") == "89.9 % [87.1 to 92.5]"
    assert value({"name": "latency_ms", "unit": "ms", "value": 6.1, "low": None, "high": None}) == "6.10 ms"
    assert answers.paragraph("one\n\ntwo") == "one"


def test_measured_prefers_the_first_subject_and_the_test_split() -> None:
    assert measured(COMPRESSION, "accuracy", "healed", "dense")["value"] == 0.881
    assert measured(COMPRESSION, "accuracy", "other", "dense")["value"] == 0.899
    assert measured(COMPRESSION, "disk_mb", "dense")["split"] is None
    select = {"measurements": [{"name": "accuracy", "subject": "dense", "split": "select", "value": 1}]}
    assert measured(select, "accuracy", "dense") is None
