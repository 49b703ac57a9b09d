"""Quantization from the plan to what is done with a quantized model afterwards."""

from pathlib import Path
from typing import Any

import pytest

from agent.summaries import summary
from analyzers.compression import verify
from analyzers.errors import BadTarget, ModelError, StorageError, UnknownFormat, UnknownPrecision, VerificationFailed
from analyzers.records import (
    AnalyzeRequest,
    CompressRequest,
    Estimate,
    EvaluateRequest,
    Outcome,
    PlanRequest,
    PrecisionPoint,
    TrainRequest,
)
from analyzers.requests import ExportRequest
from tests.tools.conftest import Chain, copied, left_in, opened_here, refused, run
from tools import workflows
from tools.steps.precisions import dominates
from tools.workspace import Workspace


@pytest.fixture
def workspace(chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    return copied(chain, tmp_path, "train", "analyze", "plan")


def test_after_pruning_and_healing(chain: Chain, workspace: Workspace, tmp_path: Path):
    done = run(CompressRequest(plan=chain["plan"].id, epochs=2, quantize="int8", seed=4), workspace)
    assert done.command.endswith("--quantize int8")
    assert done.result.quantization.precision == "int8"
    assert done.result.healing.best_epoch == chain["compress"].result.healing.best_epoch > 0
    healed, small = chain["compress"].measured("disk_mb", "healed").value, done.measured("disk_mb", "quantized").value
    assert small < healed
    assert done.measured("accuracy", "healed").value == chain["compress"].measured("accuracy", "healed").value
    assert done.measured("latency_ms", "predicted") is None, "the plan had not tried int8"
    assert "stored as int8 by torchao" in summary(done)
    again = run(EvaluateRequest(model=done.id, data=chain.data, max_tokens=32), workspace)
    assert again.measured("loss", "model").value == pytest.approx(done.measured("loss", "quantized").value, rel=1e-5)
    assert again.result.parameters == done.measured("parameters", "quantized").value
    written = run(ExportRequest(model=done.id), workspace)
    [weights] = [file.bytes for file in written.result.files if file.path == "model.safetensors"]
    assert weights / 1e6 == pytest.approx(small, rel=0.05)
    for name in ("gguf", "onnx"):
        refused(
            ExportRequest(model=done.id, format=name),
            workspace,
            UnknownFormat,
            f"--format {name}",
            "int8",
            "--format hf",
        )
    refused(ExportRequest(model=done.id, remove=(0,)), workspace, ModelError, done.id, "quantize last")
    for wanted in (
        AnalyzeRequest(model=done.id, data=chain.data),
        TrainRequest(model=done.id, data=chain.data),
    ):
        refused(wanted, workspace, ModelError, done.id, "quantized to int8 already", "the model that it was made from")
    for ending in ("html", "md", "json"):
        path = workflows.report([done.id], tmp_path / f"report.{ending}", workspace)
        assert "int8" in Path(path).read_text(encoding="utf-8")


def test_alone(chain: Chain, workspace: Workspace):
    plan = run(PlanRequest(analysis=chain["analyze"].id, ratio=1), workspace)
    assert (plan.result.remove, plan.result.keep, plan.result.exhaustive) == ([], [0, 1, 2, 3], True)
    assert plan.result.evaluations == 1
    assert summary(plan).splitlines()[-1] == f"next    layerwise compress {plan.id} --quantize int8"
    done = run(CompressRequest(plan=plan.id, quantize="int8"), workspace)
    assert done.result.healing is None
    assert {m.subject for m in done.measurements} == {"dense", "predicted", "quantized", "quantized/dense"}
    refused(CompressRequest(plan=plan.id), workspace, BadTarget, plan.id, "nothing would change", "--quantize int8")
    refused(
        CompressRequest(plan=plan.id, quantize="nf4"), workspace, ModelError, "a multiple of 64 inputs", "none, int8"
    )
    [failed] = workspace.runs.list(status="failed", kind="compression")
    assert left_in(workspace.runs.folder(failed.id)) == {"record.json"}


def test_depth_and_precision(chain: Chain, workspace: Workspace):
    plan = run(PlanRequest(analysis=chain["analyze"].id, ratio=2, seed=2, precisions=("int8",)), workspace)
    assert plan.command.endswith("--precisions int8")
    points = plan.result.precisions
    frontier = {tuple(point.keep): point for point in plan.result.frontier}
    assert {(tuple(p.keep), p.precision) for p in points} == {(k, n) for k in frontier for n in ("none", "int8")}
    for point in points:
        same = frontier[tuple(point.keep)]
        if point.precision == "none":
            assert point.select == same.select
            assert point.disk_mb == pytest.approx(4e-6 * same.parameters, rel=0.05)
    higher = [dominates(other, point, True) for point in points for other in points]
    assert [p.dominated for p in points] == [
        any(higher[i : i + len(points)]) for i in range(0, len(higher), len(points))
    ]
    assert any(not point.dominated for point in points)
    assert "* no other point" in summary(plan)
    done = run(CompressRequest(plan=plan.id, heal="none", quantize="int8"), workspace)
    [point] = [p for p in points if (p.precision, p.keep) == ("int8", plan.result.keep)]
    assert done.measured("disk_mb", "predicted").value == point.disk_mb
    header = done.measured("disk_mb", "quantized").value - point.disk_mb  # names and shapes: of tiny tensors the most
    assert 0 < header < 0.02
    assert done.measured("latency_ms", "predicted").value == point.latency_ms.value


def test_points_that_are_dominated():
    better = Outcome(metric=Estimate(value=0.8), loss=Estimate(value=0.4))
    one = PrecisionPoint(
        precision="int8",
        keep=[0],
        remove=[1],
        select=better,
        disk_mb=10,
        latency_ms=Estimate(value=5),
        conditions="1 text of 9 tokens",
        dominated=False,
    )
    worse = one.model_copy(update={"disk_mb": one.disk_mb * 2})
    faster = worse.model_copy(update={"latency_ms": one.latency_ms.model_copy(update={"value": 0.1})})
    assert dominates(one, worse, True)
    assert dominates(one, worse, False)
    assert not dominates(one, one, True)
    assert not dominates(one, faster, True)
    lower = one.model_copy(update={"select": Outcome(metric=Estimate(value=0.7), loss=Estimate(value=0.4))})
    assert dominates(one, lower, True)
    assert dominates(lower, one, False)
    assert not dominates(faster, one, True)


@pytest.mark.parametrize(
    ("wanted", "error", "parts"),
    [
        (
            lambda c: CompressRequest(plan=c["plan"].id, quantize="int3"),
            UnknownPrecision,
            ("'int3'", "none, int8, nf4"),
        ),
        (
            lambda c: PlanRequest(analysis=c["analyze"].id, ratio=2, precisions=("int3",)),
            UnknownPrecision,
            ("'int3'", "none, int8, nf4"),
        ),
        (
            lambda c: PlanRequest(analysis=c["analyze"].id, ratio=2, precisions=("all",), granularity="sublayer"),
            BadTarget,
            ("--precisions", "--granularity block"),
        ),
    ],
)
def test_said_before_any_work(wanted, error, parts, chain: Chain, workspace: Workspace):
    before = {each.id for each in workspace.runs.list()}
    refused(wanted(chain), workspace, error, *parts)
    assert {each.id for each in workspace.runs.list()} == before


def test_too_little_disk(chain: Chain, workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    refused(CompressRequest(plan=chain["plan"].id, quantize="int8"), workspace, StorageError, "1 MB are free", "--home")
    [failed] = workspace.runs.list(status="failed")
    assert left_in(workspace.runs.folder(failed.id)) == {"record.json"}


def test_a_model_that_cannot_be_run_is_not_kept(chain: Chain, workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    from analyzers.compression import cost

    def broken(*given: object) -> None:
        raise VerificationFailed("the saved model cannot be run in a new process: out of memory; it was not kept")

    monkeypatch.setattr(cost, "costs", broken)
    refused(CompressRequest(plan=chain["plan"].id, heal="none"), workspace, VerificationFailed, "it was not kept")
    [failed] = workspace.runs.list(kind="compression")
    assert failed.status == "failed"
    assert left_in(workspace.runs.folder(failed.id)) == {"record.json"}


def test_a_model_that_takes_no_less_disk_is_not_kept(
    chain: Chain, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    from analyzers.compression import cost

    measured = cost.costs

    def larger(folders: dict[str, Path], *given: Any) -> dict[str, cost.Cost]:
        """A scale for each of very few weights, as this would be of a model whose layers are very small."""
        for folder in folders.values():
            (folder / "scales.safetensors").write_bytes(bytes(0 if folder.name == "dense" else 10**7))
        return measured(folders, *given)

    monkeypatch.setattr(cost, "costs", larger)
    request = CompressRequest(plan=chain["plan"].id, heal="none", quantize="int8")
    message = refused(request, workspace, VerificationFailed, "on disk", "it was not kept")
    assert "--quantize" in message
    [failed] = workspace.runs.list(kind="compression")
    assert left_in(workspace.runs.folder(failed.id)) == {"record.json"}
