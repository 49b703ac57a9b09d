"""Every recipe that ships runs from its first step to its report, with small settings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.batch.recipes import recipes
from agent.cli import main
from analyzers.compression import cost, verify
from tests.tools.conftest import opened_here, timed_here, write_encoder, write_sentences

Recipe = Callable[..., dict[str, Any]]
SMALL = {
    "compression_sweep": ["epochs=1", "samples=8", "ratio=[2]", "heal=[none]"],
    "layer_study": ["epochs=1", "samples=8", "llms=[ollama:none]"],
    "method_comparison": ["epochs=1", "samples=8", "seed=[0]", "methods=[fisher, ablation]"],
    "depth_exploration": ["epochs=1", "width=16", "heads=2", "vocabulary=300", "layers=[4, 8]"],
}


def running(folder: Path) -> Recipe:
    def run(name: str, *settings: str, code: int = 0) -> dict[str, Any]:
        words = ["batch", f"recipe:{name}", "--json", "--home", str(folder / "home")]
        words += [word for each in (*settings, f"report={folder / name}.html") for word in ("--set", each)]
        done = CliRunner().invoke(main, words, env={"LAYERWISE_THREADS": "1"})
        assert done.exit_code == code, done.stderr[-2000:]
        summary: dict[str, Any] = json.loads(done.stdout)
        assert (folder / f"{name}.html").stat().st_size > 100_000
        return summary

    return run


def test_all_recipes_are_tried():
    assert {each.name for each in recipes()} == {*SMALL, "nightly_regression"}


def test_recipes_from_first_step_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All on one tiny model and its sentences, in one home: what was done before is taken from history."""
    # The conversation of the demo shows what these do in processes of their own, and by the demo model.
    monkeypatch.setattr(cost, "in_fresh_process", timed_here)
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    model = f"model={write_encoder(tmp_path / 'encoder')}"
    data = f"data=csv:{write_sentences(tmp_path / 'reviews.csv')}"
    run = running(tmp_path)
    for name, settings in SMALL.items():
        summary = run(name, data, *(() if name == "depth_exploration" else (model,)), *settings)
        assert summary["status"] == "done"
        states = {each["name"]: each["status"] for each in summary["steps"]}
        undone = [step for step, state in states.items() if state not in ("done", "reused")]
        assert undone == (["opinions"] if name == "layer_study" else [])
        if name == "compression_sweep":
            made = {each["name"]: each["run"] for each in summary["steps"]}
        elif name != "depth_exploration":
            assert states["train"] == "reused"

    # The clock of a busy machine decides nothing here, and what so short a training gives is a matter of luck.
    loose = [data, "min_speedup=0.001", "max_drop=1"]
    dense, compressed = made["train"], made["small[ratio=2, heal=none]"]
    summary = run("nightly_regression", f"dense={dense}", f"compressed={compressed}", *loose)
    assert [gate["holds"] for gate in summary["steps"][1]["gates"]] == [True, True, True]
    # The other way round: more parameters than the dense model, which no night explains.
    summary = run("nightly_regression", f"dense={compressed}", f"compressed={dense}", *loose, code=1)
    assert [each["status"] for each in summary["steps"]] == ["done", "failed", "done"]  # with a report
    assert "parameters < dense_model.parameters does not hold" in summary["steps"][1]["message"]
