"""What a language model reads of a run: compact, rounded, with the ratios that were measured."""

import json
from pathlib import Path

import pytest

from analyzers.records import Measurement, Run
from knowledge.runs import RunStore
from tests.fake_workflows import no_index
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, story, train_run
from tools.facts import brief, facts, headline

__all__ = ["no_index"]


@pytest.fixture
def store(tmp_path: Path, no_index: None) -> RunStore:
    store = RunStore(tmp_path, embedder_folder=None)
    for run in story():
        store.save(run)
    return store


@pytest.mark.parametrize("run", [*story(), evaluation_run(), *story(30)], ids=lambda run: f"{run.id}")
def test_facts_are_json_and_name_the_run(run: Run, store: RunStore) -> None:
    found = json.loads(json.dumps(facts(run, store)))
    assert (found["run"], found["kind"], found["command"]) == (run.id, run.kind, run.command)
    assert len(found["measurements"]) == len(run.measurements)
    assert found["result"]


def test_numbers_have_six_digits(store: RunStore) -> None:
    run = train_run(seconds=183.456789, measurements=[Measurement(name="loss", subject="dense", value=1 / 3)])
    found = facts(run, store)
    assert found["seconds"] == 183.457
    assert found["measurements"][0]["value"] == 0.333333
    assert found["result"]["parameters"] == 22_700_000


def test_the_lineage_leads_to_the_first_model(store: RunStore) -> None:
    compressed = store.get("compression-5d5d5d")
    assert compressed.model == "train-2a2a2a"
    assert store.base_model(compressed) == "demo:minilm"
    assert store.base_model(evaluation_run()) == "demo:minilm"
    assert store.base_model(train_run()) == "demo:minilm"


def test_a_lineage_with_a_gap_or_a_loop_ends(store: RunStore) -> None:
    store.delete("train-2a2a2a", force=True)
    assert store.base_model(evaluation_run()) == "train-2a2a2a"
    assert store.base_model(train_run(model="train-2a2a2a")) == "train-2a2a2a"


@pytest.mark.parametrize(
    ("run", "subject", "value"),
    [
        (train_run(), "dense", 0.899),
        (compression_run(), "healed", 0.881),
        (evaluation_run(), "model", 0.752),
    ],
    ids=["train", "compression", "evaluation"],
)
def test_the_headline_is_the_metric_of_what_is_handed_over(run: Run, subject: str, value: float) -> None:
    found = headline(run)
    assert found is not None
    assert (found["name"], found["subject"], found["split"], found["value"]) == ("accuracy", subject, "test", value)


def test_headlines_of_analysis_plan_and_failure() -> None:
    assert headline(analysis_run())["most_important_first"] == analysis_run().result.consensus
    assert headline(plan_run()) == {"target": {"ratio": 2.0}, "remove": [1, 2, 3]}
    assert headline(export_run()) == {"format": "gguf", "folder": "/home/a/runs/export-7f7f7f/model"}
    assert headline(train_run(result=None)) is None


def test_an_error_is_told(store: RunStore) -> None:
    assert brief(train_run(status="failed", error="no rows"), store)["error"] == "no rows"
    assert "error" not in brief(train_run(), store)


def measured(*changed: Measurement, without: tuple[str, ...] = ()) -> Run:
    rest = [m for m in compression_run().measurements if m.name not in ("speedup", "accuracy_ratio", *without)]
    return compression_run(measurements=[*rest, *changed])


def pair(name: str, subject: str, value: float) -> Measurement:
    return Measurement(name=name, subject=subject, value=value, low=value - 0.1, high=value + 0.1, unit="×", n=40)


def test_ratios_are_those_that_were_measured_with_their_intervals(store: RunStore) -> None:
    run = measured(pair("speedup", "healed/dense", 1.7), pair("accuracy_ratio", "healed/dense", 0.95))
    result = facts(run, store)["result"]
    assert result["times_as_fast"] == {"value": 1.7, "low": 1.6, "high": 1.8}
    assert result["quality_kept"] == {"value": 0.95, "low": 0.85, "high": 1.05}
    assert result["metric_times"] is None


def test_ratios_of_a_model_that_was_not_healed(store: RunStore) -> None:
    run = measured(pair("speedup", "compressed/dense", 1.9), pair("accuracy_ratio", "compressed/dense", 0.9))
    result = facts(run, store)["result"]
    assert (result["times_as_fast"]["value"], result["quality_kept"]["value"]) == (1.9, 0.9)


def test_a_ratio_that_was_not_measured_has_no_interval(store: RunStore) -> None:
    result = facts(measured(), store)["result"]
    assert result["times_as_fast"] == {"value": 1.86885, "low": None, "high": None}  # 11.4 / 6.1
    assert result["quality_kept"] == {"value": 0.979978, "low": None, "high": None}  # 0.881 / 0.899
    nothing = facts(measured(without=("latency_ms", "accuracy")), store)["result"]
    assert nothing["times_as_fast"] is None
    assert nothing["quality_kept"] is None


def test_a_perplexity_grows_and_is_not_kept(store: RunStore) -> None:
    run = measured(pair("perplexity_ratio", "healed/dense", 1.4))
    run = run.model_copy(update={"result": run.result.model_copy(update={"metric": "perplexity"})})
    result = facts(run, store)["result"]
    assert result["quality_kept"] is None
    assert result["metric_times"] == {"value": 1.4, "low": 1.3, "high": 1.5}


def test_an_analysis_gives_ranks_and_pairs_once(store: RunStore) -> None:
    result = facts(analysis_run(), store)["result"]
    assert len(result["tau"]) == 15
    shap = result["methods"]["shap"]
    assert [score["layer"] for score in shap["scores"]] == list(range(6))
    assert sorted(score["rank"] for score in shap["scores"]) == [1, 2, 3, 4, 5, 6]
    assert max(shap["scores"], key=lambda score: score["value"])["rank"] == 1
    assert shap["fidelity"] == {"value": 0.91, "low": 0.76, "high": 1.03}


def test_a_plan_gives_the_chosen_set_and_some_others(store: RunStore) -> None:
    result = facts(plan_run(), store)["result"]
    assert result["chosen"]["source"] == "search"
    assert result["chosen"]["test"]["metric"]["value"] == 0.846
    assert result["others"][0]["source"] == "shap"
    assert result["predicted"]["times_as_fast"] == 1.86885
    assert (result["layers_removed"], result["layers_kept"]) == (3, 3)
