"""What is said of a model before it is loaded."""

import json
from pathlib import Path

import pytest

from analyzers.errors import UnknownModel, UnknownRun
from tests.sample_runs import story
from tools.about_model import about_model
from tools.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    for run in story():
        made.runs.save(run)
    return made


def test_runs_that_made_a_model(workspace: Workspace):
    assert ("layers", "6") in about_model("train-2a2a2a", workspace)
    assert about_model("compression-5d5d5d", workspace)[2:] == [("layers", "3, without 1-3"), ("parameters", "17.4 M")]


@pytest.mark.parametrize("run", ["plan-4c4c4c", "analysis-3b3b3b"])
def test_runs_that_made_none(workspace: Workspace, run: str):
    with pytest.raises(UnknownModel, match=f"{run} made no model"):
        about_model(run, workspace)
    with pytest.raises(UnknownRun):
        about_model("train-9z9z9z", workspace)


def test_a_folder_is_read_from_its_configuration(workspace: Workspace, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "num_hidden_layers": 4, "other": 1}))
    assert about_model(str(tmp_path), workspace)[1:] == [("architecture", "bert"), ("layers", "4")]
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UnknownModel, match=r"has no config.json that can be read"):
        about_model(str(tmp_path), workspace)


def test_demo_models_gguf_files_and_the_hub(workspace: Workspace, tmp_path: Path):
    assert ("fetched", "when it is first used") in about_model("demo:minilm", workspace)
    (workspace.cache / "minilm").mkdir(parents=True)
    assert ("fetched", "yes") in about_model("demo:minilm", workspace)
    (tmp_path / "a.gguf").write_bytes(b"x" * 1500)
    assert ("size", "1.5 kB") in about_model(f"gguf:{tmp_path / 'a.gguf'}", workspace)
    assert "needs the network" in about_model("org/name", workspace)[0][1]
