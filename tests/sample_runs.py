"""Runs for tests of what shows, stores and compares runs. The numbers are invented; nothing here was measured.

`story()` gives a train, an analysis, a plan and a compression that follow from one another; each call gives equal runs.
"""

import math
import random
from datetime import UTC, datetime, timedelta

from analyzers.records import (
    Agreement,
    AnalysisResult,
    Artifact,
    Candidate,
    CompressionResult,
    CurvePoint,
    Environment,
    Estimate,
    EvaluationResult,
    ExportResult,
    FrontierPoint,
    Healing,
    HealingEpoch,
    Layer,
    LayerScore,
    Measurement,
    Outcome,
    PlanResult,
    Prediction,
    Run,
    Split,
    TrainEpoch,
    TrainResult,
    Verification,
)

METHODS = {
    "fisher": "nats²/unit²",
    "gradient": "nats/unit",
    "ablation": "nats",
    "mutual_information": "nats",
    "conductance": "logit",
    "shap": "nats",
}
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
ENVIRONMENT = Environment(
    python="3.11.9",
    platform="Linux-6.1-x86_64",
    cpu="A processor of the tests",
    cores=2,
    device="cpu",
    versions={"torch": "2.13.0", "transformers": "5.23.0"},
)
SPLITS = {
    "train": Split(n=2104, sha256="a" * 64),
    "select": Split(n=451, sha256="b" * 64),
    "test": Split(n=455, sha256="c" * 64),
}


def story(layers: int = 6) -> list[Run]:
    """The four runs of one session on a classifier of so many layers."""
    return [train_run(layers), analysis_run(layers), plan_run(layers), compression_run(layers)]


def train_run(layers: int = 6, *, run_id: str = "train-2a2a2a", **changes: object) -> Run:
    epochs = [
        TrainEpoch(epoch=1, train_loss=0.52, select=_outcome(0.861, 0.34), seconds=61.0),
        TrainEpoch(epoch=2, train_loss=0.27, select=_outcome(0.896, 0.29), seconds=60.2),
        TrainEpoch(epoch=3, train_loss=0.14, select=_outcome(0.892, 0.33), seconds=60.9),
    ]
    return _run(
        run_id,
        "train",
        0,
        model="demo:minilm",
        command="layerwise train demo:minilm demo:amazon --seed 0",
        settings={"epochs": 3, "batch_size": 16, "learning_rate": 1e-4, "max_tokens": 128, "patience": 2},
        artifacts=[Artifact(path="model/model.safetensors", sha256="d" * 64, bytes=90_900_000)],
        measurements=[
            Measurement(
                name="accuracy", subject="dense", split="test", value=0.899, low=0.871, high=0.925, unit="", n=455
            ),
            Measurement(name="f1", subject="dense", split="test", value=0.884, low=0.853, high=0.914, unit="", n=455),
            Measurement(
                name="loss", subject="dense", split="test", value=0.281, low=0.224, high=0.347, unit="nats", n=455
            ),
        ],
        result=TrainResult(
            task="classification",
            metric="accuracy",
            labels=["negative", "positive"],
            layers=layers,
            parameters=22_700_000,
            epochs=epochs,
            best_epoch=2,
            stopped_early=False,
        ),
    ).model_copy(update=changes)


def analysis_run(layers: int = 6, *, run_id: str = "analysis-3b3b3b", **changes: object) -> Run:
    truth = _importance(layers)
    dice = random.Random(7)
    scores = {}
    for method, scale in zip(METHODS, (3.1, 0.02, 0.4, 0.09, 2.2, 0.3), strict=True):
        noisy = [max(value + dice.gauss(0, 0.12), 0.02) * scale for value in truth]
        scores[method] = [
            LayerScore(layer=i, value=value, low=value - 0.08 * scale, high=value + 0.1 * scale)
            for i, value in enumerate(noisy)
        ]
    names = list(METHODS)
    tau = {a: {b: 1.0 if a == b else _tau(scores[a], scores[b]) for b in names} for a in names}
    quality = {"fisher": 0.61, "gradient": 0.55, "ablation": 0.86, "mutual_information": 0.32, "conductance": 0.47}
    quality["shap"] = 0.91
    curves = {name: _curve(layers, share) for name, share in {**quality, "random": 0.0, "greedy": 1.0}.items()}
    return _run(
        run_id,
        "analysis",
        1,
        parents=["train-2a2a2a"],
        command="layerwise analyze train-2a2a2a demo:amazon --seed 0",
        settings={"methods": ["all"], "samples": 128, "max_tokens": 128, "batch_size": 16},
        artifacts=[],
        measurements=[],
        result=AnalysisResult(
            task="classification",
            metric="accuracy",
            layers=_layers(layers),
            scores=scores,
            units=METHODS,
            agreement=Agreement(kendall_w=0.74, tau=tau),
            fidelity={
                name: Estimate(value=value, low=value - 0.15, high=value + 0.12) for name, value in quality.items()
            },
            curves=curves,
            consensus=sorted(range(layers), key=lambda i: -truth[i]),
            believe="shap",
            diagnostics={"conductance_completeness_error": 0.004, "evaluations": 140.0},
        ),
    ).model_copy(update=changes)


def plan_run(layers: int = 6, *, run_id: str = "plan-4c4c4c", **changes: object) -> Run:
    order = sorted(range(layers), key=lambda i: _importance(layers)[i])
    half = layers // 2
    remove = sorted(order[:half])
    other = sorted([*order[: half - 1], order[half]])
    candidates = [
        Candidate(source="search", remove=remove, select=_outcome(0.854, 0.38), test=_outcome(0.846, 0.39)),
        Candidate(source="shap", remove=remove, select=_outcome(0.854, 0.38)),
        Candidate(source="greedy", remove=other, select=_outcome(0.841, 0.41)),
        Candidate(source="ablation", remove=other, select=_outcome(0.841, 0.41)),
        Candidate(source="block_influence", remove=other[::-1], select=_outcome(0.823, 0.44)),
        Candidate(source="angular_block", remove=list(range(1, half + 1)), select=_outcome(0.786, 0.49)),
        Candidate(source="reverse_order", remove=list(range(layers - half, layers)), select=_outcome(0.713, 0.58)),
    ]
    frontier = [
        FrontierPoint(
            keep=[i for i in range(layers) if i not in order[:gone]],
            remove=sorted(order[:gone]),
            ratio=layers / (layers - gone),
            parameters=22_700_000 - gone * 1_774_464,
            select=_outcome(0.896 - 0.005 * gone - 0.3 * (gone / layers) ** 3, 0.29 + 0.5 * (gone / layers) ** 2),
        )
        for gone in range(layers)
    ]
    return _run(
        run_id,
        "plan",
        2,
        parents=["analysis-3b3b3b"],
        command="layerwise plan analysis-3b3b3b --ratio 2 --seed 0",
        settings={"ratio": 2.0, "budget": 64},
        artifacts=[],
        measurements=[
            Measurement(
                name="accuracy", subject="compressed", split="test", value=0.846, low=0.812, high=0.877, unit="", n=455
            ),
        ],
        result=PlanResult(
            target={"ratio": 2.0},
            task="classification",
            metric="accuracy",
            layers=_layers(layers),
            remove=remove,
            keep=[i for i in range(layers) if i not in remove],
            dense=_outcome(0.896, 0.29),
            dense_test=_outcome(0.899, 0.281),
            candidates=candidates,
            frontier=frontier,
            prediction=Prediction(
                parameters=17_400_000,
                disk_mb=69.6,
                latency_ms=Estimate(value=6.1, low=5.9, high=6.4),
                dense_latency_ms=Estimate(value=11.4, low=11.0, high=11.9),
            ),
            evaluations=20 if layers == 6 else 64,
            exhaustive=layers == 6,
            uncertain=["the plan and the next best candidate differ by less than their intervals on the select split"],
        ),
    ).model_copy(update=changes)


def compression_run(layers: int = 6, *, run_id: str = "compression-5d5d5d", **changes: object) -> Run:
    plan = plan_run(layers).result
    assert isinstance(plan, PlanResult)
    measurements = []
    rows: list[tuple[str, str, str, int | None, dict[str, tuple[float, float, float]]]] = [
        ("accuracy", "", "test", 455, {"dense": (0.899, 0.871, 0.925), "compressed": (0.846, 0.812, 0.877),
                                       "healed": (0.881, 0.850, 0.909)}),
        ("f1", "", "test", 455, {"dense": (0.884, 0.853, 0.914), "compressed": (0.829, 0.792, 0.866),
                                 "healed": (0.866, 0.833, 0.899)}),
        ("loss", "nats", "test", 455, {"dense": (0.281, 0.224, 0.347), "compressed": (0.391, 0.338, 0.452),
                                       "healed": (0.312, 0.262, 0.369)}),
        ("latency_ms", "ms", "test", 50, {"dense": (11.4, 11.0, 11.9), "healed": (6.1, 5.9, 6.4)}),
        ("throughput", "examples/s", "test", 50, {"dense": (88.0, 84.0, 91.0), "healed": (164.0, 156.0, 169.0)}),
    ]  # fmt: skip
    for name, unit, split, n, subjects in rows:
        for subject, (value, low, high) in subjects.items():
            measurements.append(
                Measurement(name=name, subject=subject, split=split, value=value, low=low, high=high, unit=unit, n=n)
            )
    pair = "healed/dense"
    measurements += [
        Measurement(
            name="accuracy_ratio", subject=pair, split="test", value=0.98, low=0.959, high=1.002, unit="", n=455
        ),
        Measurement(name="speedup", subject=pair, value=1.87, low=1.80, high=1.95, unit="×", n=50),
    ]
    for name, unit, dense, healed in (
        ("disk_mb", "MB", 90.9, 69.6),
        ("parameters", "", 22_700_000, 17_400_000),
        ("peak_memory_mb", "MB", 412.0, 371.0),
    ):
        measurements += [
            Measurement(name=name, subject="dense", value=dense, unit=unit),
            Measurement(name=name, subject="healed", value=healed, unit=unit),
        ]
    return _run(
        run_id,
        "compression",
        3,
        parents=["plan-4c4c4c"],
        command="layerwise compress plan-4c4c4c --seed 0",
        settings={"heal": "distill", "epochs": 3, "export": "hf"},
        artifacts=[
            Artifact(path="model/config.json", sha256="e" * 64, bytes=812),
            Artifact(path="model/model.safetensors", sha256="f" * 64, bytes=69_600_000),
        ],
        measurements=measurements,
        result=CompressionResult(
            task="classification",
            metric="accuracy",
            removed=plan.remove,
            kept=plan.keep,
            format="hf",
            verified=Verification(max_logit_difference=3.1e-7, same_text=None, reloaded_in_fresh_process=True),
            healing=Healing(
                strategy="distill",
                epochs=[
                    HealingEpoch(epoch=0, train_loss=0.40, select=_outcome(0.854, 0.38)),
                    HealingEpoch(epoch=1, train_loss=0.21, select=_outcome(0.872, 0.33)),
                    HealingEpoch(epoch=2, train_loss=0.15, select=_outcome(0.885, 0.31)),
                ],
                best_epoch=2,
                seconds=74.0,
            ),
        ),
    ).model_copy(update=changes)


def evaluation_run(*, run_id: str = "evaluation-6e6e6e", **changes: object) -> Run:
    return _run(
        run_id,
        "evaluation",
        4,
        parents=["compression-5d5d5d"],
        command="layerwise evaluate compression-5d5d5d demo:movie --seed 0",
        model="compression-5d5d5d",
        data="demo:movie",
        settings={"max_tokens": 128, "batch_size": 16},
        artifacts=[],
        measurements=[
            Measurement(
                name="accuracy", subject="model", split="test", value=0.752, low=0.729, high=0.774, unit="", n=1490
            ),
        ],
        result=EvaluationResult(task="classification", metric="accuracy", layers=3, parameters=17_400_000),
    ).model_copy(update=changes)


def export_run(*, run_id: str = "export-7f7f7f", **changes: object) -> Run:
    folder = f"/home/a/runs/{run_id}/model"
    return _run(
        run_id,
        "export",
        5,
        parents=["compression-5d5d5d"],
        command="layerwise export compression-5d5d5d --seed 0 --format gguf",
        model="compression-5d5d5d",
        splits={},
        settings={"format": "gguf", "remove": [], "output": None},
        measurements=[
            Measurement(name="disk_mb", subject="dense", value=98.4, unit="MB"),
            Measurement(name="disk_mb", subject="exported", value=74.2, unit="MB"),
        ],
        result=ExportResult(
            format="gguf",
            folder=folder,
            files=[Artifact(path="model.gguf", sha256="d" * 64, bytes=74_200_000)],
            removed=[1, 4, 5],
            copied=True,
            runtime="transformers 5.23.0",
            verified=Verification(max_logit_difference=2e-6, same_text=True, reloaded_in_fresh_process=True),
            commands=[f"ollama create tiny-3-layers -f {folder}/Modelfile", "ollama run tiny-3-layers"],
        ),
    ).model_copy(update=changes)


def _run(run_id: str, kind: str, hour: int, **fields: object) -> Run:
    common: dict[str, object] = {
        "id": run_id,
        "kind": kind,
        "status": "done",
        "created": START + timedelta(hours=hour),
        "seconds": 183.5,
        "model": "train-2a2a2a",
        "data": "demo:amazon",
        "splits": SPLITS,
        "seed": 0,
        "environment": ENVIRONMENT,
    }
    return Run.model_validate({**common, **fields})


def _outcome(metric: float, loss: float) -> Outcome:
    return Outcome(
        metric=Estimate(value=metric, low=metric - 0.031, high=metric + 0.027),
        loss=Estimate(value=loss, low=loss - 0.05, high=loss + 0.06),
    )


def _layers(count: int) -> list[Layer]:
    return [Layer(index=i, name=f"bert.encoder.layer.{i}", parameters=1_774_464) for i in range(count)]


def _importance(count: int) -> list[float]:
    """High at both ends, low before the end: what deep stacks often look like."""
    return [0.25 + math.exp(-2.2 * i) + 0.6 * math.exp(-((i - count + 1) ** 2)) + 0.07 * (i % 3) for i in range(count)]


def _tau(a: list[LayerScore], b: list[LayerScore]) -> float:
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]
    signs = [math.copysign(1, (a[i].value - a[j].value) * (b[i].value - b[j].value)) for i, j in pairs]
    return sum(signs) / len(pairs)


def _curve(layers: int, quality: float) -> list[CurvePoint]:
    order = sorted(range(layers), key=lambda i: _importance(layers)[i])
    points = []
    for gone in range(1, layers):
        share = gone / layers
        harm = share**2 * (1.6 - quality)
        points.append(
            CurvePoint(
                removed=sorted(order[:gone]) if quality else [],
                loss=0.29 + 0.5 * harm,
                metric=max(0.5, 0.896 - 0.35 * harm),
            )
        )
    return points
