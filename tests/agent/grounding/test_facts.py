"""Facts are typed: value, unit, run, path, and what they are about."""

import json
from pathlib import Path

from agent.grounding import facts_of
from agent.grounding.facts import Fact, Facts
from knowledge.runs import RunStore
from tests.sample_runs import analysis_run, compression_run, plan_run
from tools.facts import facts


def at(found: Facts, path: str) -> Fact:
    (fact,) = [each for each in found.numbers if each.path == path]
    return fact


def test_a_score_is_about_its_method_and_layer() -> None:
    run = analysis_run()
    fact = at(facts_of([], [run]), "result.scores.fisher[3].value")
    assert (fact.name, fact.methods, fact.layer, fact.run) == ("score", ("fisher",), 3, run.id)
    assert fact.value == run.result.scores["fisher"][3].value
    assert fact.low is not None


def test_a_tau_is_about_two_methods() -> None:
    found = facts_of([], [analysis_run()])
    assert at(found, "result.agreement.tau.fisher.shap").methods == ("fisher", "shap")


def test_a_measurement_is_about_its_subject_and_split() -> None:
    found = facts_of([], [compression_run()])
    dense, ratio = at(found, "measurements[0].value"), at(found, "measurements[13].value")
    assert (dense.name, dense.subject, dense.split, dense.unit) == ("accuracy", "dense", "test", "")
    assert (ratio.name, ratio.subject, ratio.ratio, ratio.value) == ("accuracy", "healed", True, 0.98)


def test_candidates_but_the_first_are_aside() -> None:
    found = facts_of([], [plan_run()])
    assert at(found, "result.candidates[0].select.metric.value").subject == "compressed"
    assert at(found, "result.candidates[2].select.metric.value").subject == "alternative"
    assert at(found, "result.candidates[2].select.metric.value").methods == ("greedy",)


def test_layers_are_lists() -> None:
    lists = facts_of([], [plan_run()]).lists
    assert ("removed", (1, 2, 3)) in [(each.what, each.layers) for each in lists if each.path == "result.remove"]


def test_counts_settings_and_seeds_need_their_names() -> None:
    found = facts_of([], [plan_run()])
    assert all(at(found, path).named for path in ("seed", "settings.budget", "result.evaluations", "environment.cores"))
    assert not at(found, "result.prediction.disk_mb").named


def test_dates_ids_and_checksums_are_no_numbers() -> None:
    found = facts_of(
        [json.dumps({"run": "plan-78x9y6", "created": "2026-03-02 09:30", "sha256": "8d7f" * 16, "n": 455})]
    )
    assert [each.value for each in found.numbers] == [455.0]
    assert "2026-03-02" in [each.text for each in found.quotes]


def test_the_result_of_a_tool_says_the_same_as_the_record() -> None:
    run = compression_run()
    told = json.dumps(facts(run, RunStore(Path("/nowhere"), embedder_folder=None)))
    of_tool = {(each.name, each.subject, each.split, each.value) for each in facts_of([told]).numbers if each.low}
    measured = [each for each in facts_of([], [run]).numbers if each.low and each.epoch is None]
    assert {(each.name, each.subject, each.split, each.value) for each in measured} <= of_tool
