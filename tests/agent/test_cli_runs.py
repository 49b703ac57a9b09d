"""`layerwise runs …`: labels, filters, lineage and the way to another home."""

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


def one_line(result: Result) -> str:
    [error] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return error


def test_runs_are_labelled_filtered_and_traced(filled: RunStore) -> None:
    assert json.loads(call("runs", "tag", "plan-4c4c4c", "best", "--json").stdout)["tags"] == ["best"]
    assert call("runs", "note", "plan-4c4c4c", "show it to the team").exit_code == 0
    assert call("runs", "pin", "plan-4c4c4c").exit_code == 0
    shown = call("runs", "show", "plan-4c4c4c").stdout
    for line in ("from    analysis-3b3b3b", "into    compression-5d5d5d", "tags    best", "show it to the team"):
        assert line in shown
    assert "pinned #best" in call("runs", "list").stdout
    for words in (
        ["--tag", "best"],
        ["--pinned"],
        ["--kind", "plan", "--since", "2026-01-01", "--until", "2026-12-31"],
    ):
        assert [each["id"] for each in json.loads(call("runs", "list", *words, "--json").stdout)] == ["plan-4c4c4c"]
    found = json.loads(call("runs", "list", "--where", "accuracy>=0.5", "--where", "latency_ms<1e6", "--json").stdout)
    assert "compression-5d5d5d" in [each["id"] for each in found]
    assert "no run fits" in call("runs", "list", "--tag", "other").stdout
    tree = call("runs", "lineage", "plan-4c4c4c").stdout.splitlines()
    assert [line.split()[0] for line in tree] == [
        "train-2a2a2a",
        "analysis-3b3b3b",
        "plan-4c4c4c",
        "compression-5d5d5d",
        "evaluation-6e6e6e",
    ]
    assert tree[2].endswith("<- this one")
    assert "pinned" in one_line(call("runs", "delete", "train-2a2a2a", "--with-dependants"))
    assert call("runs", "list", "--since", "soon").exit_code == 2


def test_a_run_goes_to_another_home_and_back_only_once(filled: RunStore, tmp_path: Path) -> None:
    out = tmp_path / "plan.zip"
    assert call("runs", "export", "plan-4c4c4c", str(out)).exit_code == 0
    other = ["--home", str(tmp_path / "other"), "--json"]
    assert json.loads(call("runs", "import", str(out), *other).stdout) == {"imported": "plan-4c4c4c"}
    assert json.loads(call("runs", "list", *other).stdout)[0]["id"] == "plan-4c4c4c"
    again = call("runs", "import", str(out), *other)
    assert again.exit_code == 2
    assert "is there already" in one_line(again)
