"""The main job on the demo model and the demo reviews, as the conversation that `make demo` has with the built-in planner.

Only smaller, since it is the longest test: one epoch of training and one of healing instead of three, and 16 samples for the
methods.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.cli import main
from analyzers.records import AnalysisResult, CompressionResult, PlanResult, Run
from knowledge.runs import RunStore

MAKEFILE = Path(__file__).parents[1] / "Makefile"
WISH, WHOM_TO_BELIEVE, REPORT = re.findall(r'--once "([^"]+)"', MAKEFILE.read_text(encoding="utf-8"))
METHODS = {"ablation", "conductance", "fisher", "gradient", "mutual_information", "shap"}


class Conversation:
    def __init__(self, home: Path, cache: Path) -> None:
        self.home = home
        self.store = RunStore(home, embedder_folder=None)
        self._environment = {"LAYERWISE_HOME": str(home), "LAYERWISE_CACHE": str(cache)}

    def say(self, text: str) -> dict[str, Any]:
        words = ["chat", "--llm", "offline", "--session", "demo", "--approve", "all", "--once", text, "--json"]
        done = CliRunner().invoke(main, words, env=self._environment)
        assert done.exit_code == 0, done.stderr[-3000:]
        answer: dict[str, Any] = json.loads(done.stdout)
        assert answer["grounded"], answer
        return answer

    def newest(self, kind: str) -> Run:
        return self.store.list(kind=kind)[0]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, real_cache: Path) -> Conversation:
    return Conversation(tmp_path_factory.mktemp("demo"), real_cache)


# One test: each message builds on those before it.
@pytest.mark.real
@pytest.mark.timeout(1800)
def test_the_whole_demo_conversation(talk: Conversation) -> None:
    assert talk.say("Hello!")["tools"] == []

    small = WISH.replace("reviews,", "reviews for one epoch and with 16 samples,") + " with one epoch of healing"
    done = talk.say(small)
    steps = [tool["name"] for tool in done["tools"] if tool["name"] not in ("list_runs", "show_run", "explain_method")]
    assert steps == ["train_model", "analyze_layers", "plan_compression", "compress_model"]
    made = {kind: talk.newest(kind) for kind in ("train", "analysis", "plan", "compression")}
    assert {run.status for run in made.values()} == {"done"}
    assert {run.id for run in made.values()} <= set(done["run_ids"])
    assert [run.parents for run in made.values()][1:] == [[run.id] for run in list(made.values())[:-1]]

    trained = made["train"].measured("accuracy", "dense", "test")
    assert trained is not None
    assert trained.value >= 0.87

    wanted = (("train", "epochs"), ("analysis", "samples"), ("compression", "epochs"))
    assert [made[kind].settings.get(name) for kind, name in wanted] == [1, 16, 1]
    analysis = made["analysis"].result
    assert isinstance(analysis, AnalysisResult)
    assert set(analysis.scores) == METHODS
    assert all(score.low <= score.value <= score.high for scores in analysis.scores.values() for score in scores)
    assert analysis.diagnostics["shap_efficiency_error"] < 1e-5
    assert analysis.believe in METHODS

    plan = made["plan"].result
    assert isinstance(plan, PlanResult)
    assert len(plan.remove) == 3
    assert plan.exhaustive
    by_source = {candidate.source: candidate for candidate in plan.candidates}
    assert {"block_influence", "angular_block", "reverse_order", "greedy", *METHODS} <= set(by_source)
    best = by_source.pop("search")
    assert all(best.select.metric.value >= other.select.metric.value for other in by_source.values())

    compression = made["compression"]
    assert isinstance(compression.result, CompressionResult)
    assert compression.result.verified.reloaded_in_fresh_process
    assert compression.result.verified.max_logit_difference < 1e-3
    kept = compression.measured("accuracy_ratio")
    faster = compression.measured("speedup")
    assert kept is not None
    assert faster is not None
    assert kept.value >= 0.92
    assert faster.value >= 1.7
    assert all(each.low is not None and each.low <= each.value <= (each.high or 0) for each in (kept, faster))

    believed = talk.say(WHOM_TO_BELIEVE)["answer"]
    assert made["analysis"].id in believed
    assert compression.id in talk.say("它有多快？")["answer"]
    assert talk.say(REPORT)["tools"][-1]["status"] == "done"
    page = next((talk.home / "reports").glob("*.html")).read_text(encoding="utf-8")
    assert all(run.id in page for run in made.values())
    assert talk.store.search("the smaller sentiment model", kind="compression")[0].run.id == compression.id
