"""What a workflow starts from: the model of a run, and the splits that the run was made with."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from analyzers.errors import DataError, ModelError, UnknownModel
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest
from tests.tools.conftest import Chain, folder_of, workspace_in, write_sentences
from tools import workflows
from tools.inputs import open_inputs, resolve
from tools.workspace import Workspace


def test_a_run_keeps_its_splits_however_the_path_is_written(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    path = Path(chain.data.removeprefix("csv:"))
    monkeypatch.chdir(path.parent)
    for data in (f"csv:./{path.name}", f"csv:{path.name}"):
        inputs = open_inputs(chain["train"].id, data, 99, chain.workspace, Progress())
        assert inputs.split_seed == 3
        assert inputs.splits.fingerprints == chain["train"].splits
        assert inputs.parents == [chain["train"].id]


def test_a_run_on_other_data_is_split_by_its_own_seed(chain: Chain, tmp_path: Path):
    other = write_sentences(tmp_path / "other.csv", seed=8)
    assert open_inputs(chain["train"].id, f"csv:{other}", 99, chain.workspace, Progress()).split_seed == 99


def test_runs_that_hold_no_model(chain: Chain):
    with pytest.raises(
        UnknownModel, match=rf"made no model, it is of the kind plan; its model is: {chain['train'].id}"
    ):
        resolve(chain["plan"].id, chain.workspace)
    stopped = chain["train"].model_copy(update={"id": "train-stopped", "status": "cancelled"})
    chain.workspace.runs.save(stopped)
    try:
        with pytest.raises(
            ModelError, match=r"train-stopped is cancelled and has no model; run it again: layerwise train"
        ):
            resolve("train-stopped", chain.workspace)
    finally:
        chain.workspace.runs.delete("train-stopped")


def copy_of(chain: Chain, tmp_path: Path, *verbs: str) -> tuple[Workspace, Path]:
    """Another home with some of the runs, on a copy of the data."""
    data = tmp_path / "reviews.csv"
    shutil.copy(chain.data.removeprefix("csv:"), data)
    workspace = workspace_in(tmp_path)
    for verb in verbs:
        shutil.copytree(folder_of(chain, verb), workspace.runs.folder(chain[verb].id))
        workspace.runs.save(chain[verb].model_copy(update={"data": f"csv:{data}"}))
    return workspace, data


@pytest.mark.parametrize("wanted", ["evaluate", "plan", "compress"])
def test_data_that_changed_since(wanted: str, chain: Chain, tmp_path: Path):
    workspace, data = copy_of(chain, tmp_path, "train", "analyze", "plan")
    data.write_text(data.read_text() + "a good new chair,positive\n" * 3)
    requests: dict[str, Any] = {
        "evaluate": EvaluateRequest(model=chain["train"].id, data=f"csv:{data}"),
        "plan": PlanRequest(analysis=chain["analyze"].id, ratio=2),
        "compress": CompressRequest(plan=chain["plan"].id),
    }
    with pytest.raises(
        DataError, match=r"is not what it was when .* used it \(other texts in: .*\); bring the old file"
    ):
        getattr(workflows, wanted)(requests[wanted], workspace, Progress())


def test_an_analysis_of_a_folder_is_held_to_its_data(chain: Chain, tmp_path: Path):
    # There is no training run whose splits would be looked at.
    workspace, data = copy_of(chain, tmp_path, "train")
    model = str(workspace.runs.folder(chain["train"].id) / "model")
    request = AnalyzeRequest(model=model, data=f"csv:{data}", methods=("ablation",), samples=16)
    analysis = workflows.analyze(request, workspace, Progress())
    assert analysis.parents == []
    data.write_text(data.read_text() + "a good new chair,positive\n" * 3)
    with pytest.raises(DataError, match=rf"when {analysis.id} used it"):
        workflows.plan(PlanRequest(analysis=analysis.id, keep=3), workspace, Progress())
