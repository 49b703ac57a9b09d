"""A run as a language model reads it: compact, rounded, with the few ratios that people ask for.

Whatever an answer says about a run stands either here or in the record.
"""

from typing import Any

from analyzers.records import (
    AnalysisResult,
    Candidate,
    CompressionResult,
    Estimate,
    EvaluationResult,
    ExportResult,
    LayerScore,
    Measurement,
    Outcome,
    PlanResult,
    PrecisionPoint,
    Run,
    Steadiness,
    TrainResult,
)
from knowledge.catalogue import handed_over
from knowledge.comparison import ranks
from knowledge.runs import RunStore
from tools.wording import SHARES, units

SHOWN_CANDIDATES = 8
SMALL = ("quantized", "healed", "compressed")  # subjects, the one that is handed over first
BEST = (*SMALL, "dense", "model")


def facts(run: Run, store: RunStore) -> dict[str, Any]:
    """All that is worth saying about one run, ready for `json.dumps`; numbers have six significant digits."""
    return {
        **brief(run, store),
        "seconds": _round(run.seconds),
        "seed": run.seed,
        "settings": run.settings,
        "command": run.command,
        "parents": run.parents,
        "examples": {name: split.n for name, split in run.splits.items()},
        "environment": {"cpu": run.environment.cpu, "cores": run.environment.cores, "device": run.environment.device},
        "measurements": [_measurement(each) for each in run.measurements],
        "result": _result(run),
    }


def brief(run: Run, store: RunStore, measured: str | None = None) -> dict[str, Any]:
    """One run in a list of runs, with one of its measurements if it is asked for."""
    about = {
        "run": run.id,
        "kind": run.kind,
        "status": run.status,
        "created": f"{run.created:%Y-%m-%d %H:%M}",
        "model": run.model,
        "base_model": store.base_model(run),
        "data": run.data,
        "headline": headline(run),
    }
    if measured and (found := handed_over(run, measured)):
        about["measured"] = _measurement(found)
    return {**about, "error": run.error} if run.error else about


def headline(run: Run) -> dict[str, Any] | None:
    """The number that says most about a run."""
    match run.result:
        case AnalysisResult() as analysis:
            return {"most_important_first": analysis.consensus, "methods": list(analysis.scores)}
        case PlanResult() as plan:
            return {"target": plan.target, "remove": plan.remove}
        case ExportResult() as exported:
            return {"format": exported.format, "folder": exported.folder}
        case TrainResult() | CompressionResult() | EvaluationResult() as result:
            measured = next((run.measured(result.metric, subject, "test") for subject in BEST
                             if run.measured(result.metric, subject, "test")), None)  # fmt: skip
            return _measurement(measured) if measured else None
    return None


def _result(run: Run) -> dict[str, Any] | None:
    match run.result:
        case TrainResult() as trained:
            return {
                "task": trained.task,
                "metric": trained.metric,
                "labels": trained.labels,
                "layers": trained.layers,
                "parameters": trained.parameters,
                "epochs": len(trained.epochs),
                "best_epoch": trained.best_epoch,
                "stopped_early": trained.stopped_early,
            }
        case AnalysisResult() as analysis:
            return _analysis(analysis)
        case PlanResult() as plan:
            return _plan(plan)
        case CompressionResult() as compression:
            return _compression(compression, run)
        case EvaluationResult() as evaluation:
            return evaluation.model_dump()
        case ExportResult() as exported:
            return exported.model_dump(exclude={"files"}) | {"files": [file.path for file in exported.files]}
    return None


def _analysis(analysis: AnalysisResult) -> dict[str, Any]:
    pairs = {
        f"{first} / {second}": _round(tau)
        for i, first in enumerate(analysis.scores)
        for second in list(analysis.scores)[i + 1 :]
        if (tau := analysis.agreement.tau.get(first, {}).get(second)) is not None
    }
    return {
        "task": analysis.task,
        "metric": analysis.metric,
        "layers": len(analysis.layers),
        "most_important_first": analysis.consensus,
        "methods": {
            method: {
                "unit": analysis.units.get(method, ""),
                "fidelity": _estimate(analysis.fidelity.get(method)),
                "steady": _steady(analysis.stability.get(method)),
                "scores": [_score(score, rank) for score, rank in zip(_ordered(scores), ranks(scores), strict=True)],
            }
            for method, scores in analysis.scores.items()
        },
        "kendall_w": _round(analysis.agreement.kendall_w),
        "tau": pairs,
        "believe": analysis.believe,
        "failed": analysis.failed,
    }


def _steady(found: Steadiness | None) -> dict[str, Any] | None:
    return {"tau": _round(found.tau), "examples_needed": found.examples} if found else None


def _plan(plan: PlanResult) -> dict[str, Any]:
    chosen = plan.candidates[0] if plan.candidates else None
    prediction = plan.prediction
    others = plan.candidates[1 : SHOWN_CANDIDATES + 1]
    faster = prediction.dense_latency_ms.value / prediction.latency_ms.value if prediction.latency_ms.value else None
    return {
        "task": plan.task,
        "metric": plan.metric,
        "target": plan.target,
        "layers": len(plan.layers),
        "remove": plan.remove,
        "keep": plan.keep,
        "layers_removed": len(plan.remove),
        "layers_kept": len(plan.keep),
        "dense_select": _outcome(plan.dense),
        "dense_test": _outcome(plan.dense_test),
        "chosen": _candidate(chosen) if chosen else None,
        "others": [_candidate(each) for each in others],
        "frontier": [
            {"layers_kept": len(point.keep), "remove": point.remove, "select": _estimate(point.select.metric)}
            for point in plan.frontier
        ],
        **({"precisions": [_precision(point) for point in plan.precisions]} if plan.precisions else {}),
        "predicted": {
            "parameters": prediction.parameters,
            "disk_mb": _round(prediction.disk_mb),
            "latency_ms": _estimate(prediction.latency_ms),
            "dense_latency_ms": _estimate(prediction.dense_latency_ms),
            "times_as_fast": _round(faster),
        },
        "evaluations": plan.evaluations,
        "exhaustive": plan.exhaustive,
        **(
            {}
            if plan.granularity == "block"
            else {"granularity": plan.granularity, "removed": units(plan, plan.remove)}
        ),
        "uncertain": plan.uncertain,
    }


def _compression(compression: CompressionResult, run: Run) -> dict[str, Any]:
    healing, metric = compression.healing, compression.metric
    return {
        "task": compression.task,
        "metric": metric,
        "removed": compression.removed,
        "kept": compression.kept,
        "layers_removed": len(compression.removed),
        "layers_kept": len(compression.kept),
        "layers": len(compression.removed) + len(compression.kept),
        "format": compression.format,
        "verified": compression.verified.model_dump(),
        "healing": {
            "strategy": healing.strategy,
            "epochs": len([epoch for epoch in healing.epochs if epoch.epoch > 0]),
            "best_epoch": healing.best_epoch,
            "seconds": _round(healing.seconds),
            "minutes": healing.minutes,
            "data": healing.data,
        }
        if healing
        else None,
        "quantization": compression.quantization.model_dump() if compression.quantization else None,
        "texts": [text.model_dump() for text in compression.generation.texts] if compression.generation else None,
        "times_as_fast": _paired(run, "speedup") or _ratio(run, "latency_ms", "dense/small"),
        "quality_kept": (_paired(run, f"{metric}_ratio") or _ratio(run, metric, "small/dense"))
        if metric in SHARES
        else None,
        # a perplexity is not kept, it grows: by so many times
        "metric_times": None if metric in SHARES else _paired(run, f"{metric}_ratio"),
    }


def _precision(point: PrecisionPoint) -> dict[str, Any]:
    return {
        "precision": point.precision,
        "layers_kept": len(point.keep),
        "select": _estimate(point.select.metric),
        "predicted_disk_mb": _round(point.disk_mb),
        "latency_ms": _estimate(point.latency_ms),
        "dominated": point.dominated,
    }


def _paired(run: Run, name: str) -> dict[str, Any] | None:
    """A ratio that was measured example by example, with its interval, for the model that is handed over."""
    found = (run.measured(name, f"{subject}/dense") for subject in SMALL)
    return next((_interval(each) for each in found if each), None)


def _ratio(run: Run, name: str, way: str) -> dict[str, Any] | None:
    """The small model against the dense one, for runs without a paired measurement: a value without an interval."""
    dense = run.measured(name, "dense", "test") or run.measured(name, "dense")
    small = (
        next((found for subject in SMALL if (found := run.measured(name, subject, dense.split))), None)
        if dense
        else None
    )
    if not dense or not small or not dense.value or not small.value:
        return None
    value = dense.value / small.value if way == "dense/small" else small.value / dense.value
    return {"value": _round(value), "low": None, "high": None}


def _ordered(scores: list[LayerScore]) -> list[LayerScore]:
    return sorted(scores, key=lambda score: score.layer)


def _score(score: LayerScore, rank: int) -> dict[str, Any]:
    return {"layer": score.layer, "rank": rank, **_interval(score)}


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "source": candidate.source,
        "remove": candidate.remove,
        "select": _outcome(candidate.select),
        "test": _outcome(candidate.test) if candidate.test else None,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {"metric": _estimate(outcome.metric), "loss": _estimate(outcome.loss)}


def _measurement(measurement: Measurement) -> dict[str, Any]:
    about = {"name": measurement.name, "subject": measurement.subject, "split": measurement.split}
    found = {**about, **_interval(measurement), "unit": measurement.unit, "n": measurement.n}
    return found | {"conditions": measurement.conditions} if measurement.conditions else found


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    return _interval(estimate) if estimate else None


def _interval(given: Estimate | LayerScore | Measurement) -> dict[str, Any]:
    return {"value": _round(given.value), "low": _round(given.low), "high": _round(given.high)}


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}") if abs(value) < 100_000 else round(value)
