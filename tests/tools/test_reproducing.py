"""Runs made again: what came out the same, what has changed before, and what is compared how."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.cli import main
from analyzers.errors import DataError, UnknownRun, UsageError
from analyzers.progress import Progress
from analyzers.records import Environment, Estimate, Measurement, Run
from analyzers.requests import ExportRequest
from tests.sample_runs import analysis_run, evaluation_run, plan_run
from tests.tools.conftest import Chain, copied, run
from tools.reproducing import compared, reproduce
from tools.unchanged import Changes, Present


def changes(chain: Chain, run: Run) -> Changes:
    return Present(chain.workspace, Progress()).changes(run)


def test_an_analysis_comes_out_the_same(chain: Chain):
    found = reproduce(chain["analyze"].id, chain.workspace, Progress())
    assert found.reproduced
    assert found.again != found.run
    assert set(found.counts) <= {"the same", "not compared"}  # seconds and memory, which have no interval
    assert found.counts["the same"] > 100
    assert found.cautions == ()
    names = {each.name: each.verdict for each in found.numbers}
    assert names["consensus"] == names["fidelity.shap"] == names["scores.fisher[0]"] == "the same"
    assert names["seconds of measured"] == "not compared"
    assert chain.workspace.runs.get(found.again).command == chain["analyze"].command


def test_an_export_is_made_again_beside_the_one_that_is_there(chain: Chain, tmp_path: Path):
    workspace = copied(chain, tmp_path, "train")
    output = tmp_path / "written"
    made = run(ExportRequest(model=chain["train"].id, output=str(output)), workspace)
    before = {path.name: path.stat().st_mtime_ns for path in output.iterdir()}
    found = reproduce(made.id, workspace, Progress())
    assert found.reproduced
    assert {path.name: path.stat().st_mtime_ns for path in output.iterdir()} == before
    assert workspace.runs.folder(found.again).is_dir()


def test_the_command_line_says_what_came_out(chain: Chain):
    words = ["reproduce", chain["evaluate"].id, "--home", str(chain.workspace.home)]
    done = CliRunner().invoke(main, words, env={"LAYERWISE_DEVICE": "cpu", "LAYERWISE_THREADS": "1"})
    last = done.stdout.splitlines()[-1]
    # how long a batch takes is the machine's business: the busy one of the tests may be slower than its interval
    assert last.startswith("reproduced: ") or "; only what a machine takes differs" in last, done.stderr
    assert done.exit_code == (0 if last.startswith("reproduced: ") else 1)
    assert f"{chain['evaluate'].id} made again as evaluation-" in done.stdout
    assert "different: accuracy" not in done.stdout


def test_what_it_was_made_from_is_looked_at_before_anything_runs(chain: Chain, tmp_path: Path):
    trained = chain["train"]
    assert changes(chain, trained) == Changes()
    assert trained.settings["model_sha256"]  # it began from a folder
    assert "model_sha256" not in chain["analyze"].settings  # a run is its model
    data, model = Path(chain.data.removeprefix("csv:")), Path(chain.model)
    kept = data.read_text()
    try:
        data.write_text(kept.replace("good", "fine"))
        assert changes(chain, trained).inputs == (f"{chain.data} has other texts in: train, select, test",)
        before = len(chain.workspace.runs.list())
        with pytest.raises(DataError, match=f"{trained.id} cannot be reproduced: csv:.* has other texts in: train"):
            reproduce(trained.id, chain.workspace, Progress())
        assert len(chain.workspace.runs.list()) == before
        data.unlink()
        assert "cannot be read" in changes(chain, trained).inputs[0]
    finally:
        data.write_text(kept)
    extra = model / "extra.txt"
    extra.write_text("x")
    assert changes(chain, trained).inputs == (f"{model} holds something else",)
    extra.unlink()
    moved = shutil.move(model, tmp_path / "moved")
    assert changes(chain, trained).inputs == (f"{model} is gone",)
    shutil.move(moved, model)
    assert changes(chain, trained) == Changes()


def test_what_a_record_does_not_tell_and_what_is_around_it(chain: Chain, tmp_path: Path):
    trained = chain["train"]
    old = trained.model_copy(update={"settings": {key: value for key, value in trained.settings.items() if key != "model_sha256"}})  # fmt: skip
    assert changes(chain, old).unknown == (f"its record does not say what {chain.model} held",)
    healed = chain["compress"].model_copy(update={"settings": {**chain["compress"].settings, "heal_data": ["demo:nyt", "csv:x"]}})  # fmt: skip
    assert changes(chain, healed).unknown == ("its record does not say what csv:x held",)
    versions = {**trained.environment.versions, "torch": "1.0"}
    elsewhere = Environment(**{**trained.environment.model_dump(), "cpu": "abacus", "versions": versions})
    found = changes(chain, trained.model_copy(update={"environment": elsewhere})).surroundings
    assert [each.split(",")[0] for each in found] == ["cpu was abacus", "torch was 1.0"]
    workspace = copied(chain, tmp_path, "train")
    (workspace.runs.folder(trained.id) / "model" / "model.safetensors").unlink()
    assert Present(workspace, Progress()).changes(trained).lost == ("model/model.safetensors",)


def test_a_run_that_cannot_be_made_again(chain: Chain, tmp_path: Path):
    workspace = copied(chain, tmp_path, "analyze")
    with pytest.raises(UnknownRun, match=f"no run '{chain['train'].id}'"):
        reproduce(chain["analyze"].id, workspace, Progress())
    stopped = chain["analyze"].model_copy(update={"status": "cancelled"})
    workspace.runs.save(stopped)
    with pytest.raises(
        UsageError, match="is cancelled, so it has no numbers to reproduce; make it first: layerwise analyze"
    ):
        reproduce(stopped.id, workspace, Progress())
    workspace.runs.save(chain["analyze"].model_copy(update={"command": "layerwise dance"}))
    with pytest.raises(UsageError, match="'layerwise dance' is no command"):
        reproduce(stopped.id, workspace, Progress())


def measured(value: float, low: float | None = None, high: float | None = None, name: str = "accuracy") -> Run:
    return evaluation_run(measurements=[Measurement(name=name, subject="model", split="test", value=value, low=low, high=high)])  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (measured(0.9, 0.8, 0.95), measured(0.9, 0.8, 0.95), "the same"),
        (measured(0.9), measured(0.9 * (1 + 1e-7)), "the same"),
        (measured(0.9), measured(0.9 * (1 + 1e-5)), "different"),
        (measured(0.9, 0.8, 0.95), measured(0.95), "within its interval"),
        (measured(0.9, 0.8, 0.95), measured(0.951, 0.9, 0.99), "different"),
        (measured(9.0, 8, 10, "latency_ms"), measured(11.0, 10, 12, "latency_ms"), "within its interval"),
        (measured(9.0, 8, 10, "latency_ms"), measured(12.0, 11, 13, "latency_ms"), "different"),
        (measured(9.0, 8, 10, "latency_ms"), measured(9.0, name="latency_ms"), "not compared"),
        (measured(9.0, name="seconds"), measured(90.0, name="seconds"), "not compared"),
        (measured(9.0), evaluation_run(measurements=[]), "different"),
    ],
)
def test_how_a_number_is_judged(before: Run, after: Run, verdict: str):
    found = compared(before, after)
    assert found.numbers[0].verdict == verdict
    assert found.reproduced is (verdict != "different")
    assert found.only_timings is (verdict == "different" and "latency" in found.numbers[0].name)


def test_lists_of_layers_and_words_count_too():
    result: Any = plan_run().result
    other = result.model_copy(update={"remove": [*result.remove[:-1], 99]})
    found = compared(plan_run(), plan_run(result=other))
    assert [each.name for each in found.numbers if each.verdict == "different"] == ["remove"]
    analysis: Any = analysis_run().result
    other = analysis.model_copy(update={"fidelity": {**analysis.fidelity, "extra": Estimate(value=1.0)}})
    new = [each for each in compared(analysis_run(), analysis_run(result=other)).numbers if each.verdict == "different"]
    assert [(each.name, each.before, each.after) for each in new] == [("fidelity.extra", None, 1.0)]


def test_json_of_a_run_that_came_out_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from tools import reproducing

    found = compared(measured(0.9), measured(0.5), ("cpu was a, is b",))
    monkeypatch.setattr(reproducing, "reproduce", lambda *_: found)
    done = CliRunner().invoke(main, ["reproduce", "evaluation-6e6e6e", "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["counts"] == {"different": 1, "the same": 4}
    told = CliRunner().invoke(main, ["reproduce", "evaluation-6e6e6e"])
    assert told.exit_code == 1
    assert "note: cpu was a, is b\ndifferent: accuracy of model on test: 0.9, now 0.5\n" in told.stdout
    assert told.stdout.splitlines()[-1] == "NOT reproduced: 1 different, 4 the same"
