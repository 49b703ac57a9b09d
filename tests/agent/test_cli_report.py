"""`layerwise report` on the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from knowledge.runs import RunStore
from tests.sample_runs import evaluation_run, story


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunStore:
    monkeypatch.setenv("LAYERWISE_HOME", str(tmp_path / "home"))
    store = RunStore(tmp_path / "home", embedder_folder=None)
    for run in [*story(), evaluation_run()]:
        store.save(run)
    return store


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_the_report_pulls_in_all_ancestors(filled: RunStore, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    result = call("report", "compression-5d5d5d", "--out", str(out), "--json")
    assert json.loads(result.stdout) == {"path": str(out), "runs": ["compression-5d5d5d"]}
    assert [run["id"] for run in json.loads(out.read_text())["runs"]] == [run.id for run in story()]


def test_a_report_in_chinese_and_one_of_runs_side_by_side(filled: RunStore, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert call("report", "compression-5d5d5d", "--out", str(out), "--language", "zh").exit_code == 0
    told = json.loads(out.read_text())
    assert "永久删除了 3 层" in told["narrative"]["text"]
    assert told["language"] == "zh"
    assert call("report", "plan-4c4c4c", "train-2a2a2a", "--compare", "--out", str(out)).exit_code == 0
    told = json.loads(out.read_text())
    assert [run["id"] for run in told["runs"]] == told["comparison"]["runs"] == ["plan-4c4c4c", "train-2a2a2a"]
