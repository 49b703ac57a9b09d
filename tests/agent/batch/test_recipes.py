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
from tests.stand_ins import fill_cache
from tests.tools.conftest import opened_here, timed_here

Recipe = Callable[..., dict[str, Any]]
SMALL = {
    "layer_study": ["epochs=1", "samples=8", "llms=[ollama:none]"],
    "compression_sweep": ["epochs=1", "samples=16", "heal_epochs=1", "ratio=[2]"],
    "method_comparison": ["epochs=1", "samples=16", "seed=[0, 1]", "methods=[fisher, ablation]"],
    "depth_exploration": ["epochs=1", "width=16", "heads=2", "vocabulary=300", "layers=[4, 8]"],
}


def running(folder: Path, cache: Path) -> Recipe:
    def run(name: str, *settings: str, code: int = 0) -> dict[str, Any]:
        words = ["batch", f"recipe:{name}", "--json", "--home", str(folder / "home")]
        words += [word for each in (*settings, f"report={folder / name}.html") for word in ("--set", each)]
        done = CliRunner().invoke(main, words, env={"LAYERWISE_CACHE": str(cache), "LAYERWISE_THREADS": "1"})
        assert done.exit_code == code, done.stderr[-2000:]
        summary: dict[str, Any] = json.loads(done.stdout)
        assert (folder / f"{name}.html").stat().st_size > 100_000
        return summary

    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Recipes on small stand-ins for the demo model and the demo texts, in one home."""
    folder = tmp_path_factory.mktemp("recipes")
    fill_cache(folder / "cache")
    return running(folder, folder / "cache")


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "small" in request.fixturenames:
        monkeypatch.setattr(cost, "in_fresh_process", timed_here)
        monkeypatch.setattr(verify, "in_fresh_process", opened_here)


def test_all_recipes_are_tried():
    assert {each.name for each in recipes()} == {*SMALL, "nightly_regression"}


@pytest.mark.parametrize("name", SMALL)
def test_a_recipe_runs(small: Recipe, name: str):
    summary = small(name, *SMALL[name])
    assert summary["status"] == "done"
    undone = [each["name"] for each in summary["steps"] if each["status"] not in ("done", "reused")]
    assert undone == (["opinions"] if name == "layer_study" else [])


def test_the_nightly_regression_holds_or_says_what_slipped(small: Recipe):
    steps = {each["name"]: each for each in small("compression_sweep", *SMALL["compression_sweep"])["steps"]}
    dense, compressed = steps["train"]["run"], steps["small[ratio=2, heal=none]"]["run"]
    # the clock of a busy machine decides nothing here, and a stand-in's accuracy is a matter of luck
    loose = ["min_speedup=0.001", "max_drop=1"]
    summary = small("nightly_regression", f"dense={dense}", f"compressed={compressed}", *loose)
    assert [gate["holds"] for gate in summary["steps"][1]["gates"]] == [True, True, True]
    # the other way round: more parameters than the dense model, which no night explains
    summary = small("nightly_regression", f"dense={compressed}", f"compressed={dense}", *loose, code=1)
    assert [each["status"] for each in summary["steps"]] == ["done", "failed", "done"]  # with a report
    assert "parameters < dense_model.parameters does not hold" in summary["steps"][1]["message"]


@pytest.mark.real
@pytest.mark.timeout(1800)
def test_recipes_on_the_demo_model(tmp_path: Path, real_cache: Path):
    """Those that take seconds on MiniLM itself and 60 short sentences of the demo. The sweep and the comparison of methods
    do the same workflows more often."""
    from analyzers import datasets
    from analyzers.progress import Progress
    from analyzers.references import parse_data

    found = datasets.load(parse_data("demo:amazon"), real_cache, Progress()).examples
    short = [each for each in found if 3 <= len(each.text.split()) <= 8][:60]
    rows = [f'"{each.text.replace(chr(34), "")}",{each.label},{each.group}' for each in short]
    (tmp_path / "few.csv").write_text("\n".join(["text,label,group", *rows]))
    data = f"data=csv:{tmp_path / 'few.csv'}?group=group"
    run = running(tmp_path, real_cache)
    study = run("layer_study", data, *SMALL["layer_study"])
    depths = run("depth_exploration", data, *SMALL["depth_exploration"])
    assert study["status"] == depths["status"] == "done"
    models = [
        f"dense={study['steps'][0]['run']}",
        f"compressed={depths['steps'][0]['run']}",
    ]  # four layers instead of six
    assert run("nightly_regression", data, *models, "max_drop=1")["status"] == "done"
