"""What a plan's record says of a search that is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analyzers.coalitions import Coalitions, Kept
from analyzers.evaluation import forward_call, latencies, outcome, shape
from analyzers.evolution import goes
from analyzers.layers import LayeredModel
from analyzers.planning import Search
from analyzers.progress import Progress
from analyzers.records import (
    AnalysisResult,
    Candidate,
    Estimate,
    FrontierPoint,
    Measurement,
    Outcome,
    PlanRequest,
    PlanResult,
    PrecisionPoint,
    Prediction,
)
from analyzers.statistics import median_estimate
from analyzers.targets import BYTES
from analyzers.tasks import Batch
from analyzers.weights import parameter_count
from tools.wording import title

TIMINGS = 20


@dataclass(frozen=True)
class Planned:
    """A search that is done, and what is needed to describe it."""

    search: Search
    kept: Kept
    seeds: Mapping[str, Kept]
    exhaustive: bool
    test: Coalitions
    seed: int

    @property
    def best_baseline(self) -> str:
        return min(self.seeds, key=lambda name: self.search.quality(self.seeds[name]))

    def on_select(self, kept: Kept) -> Outcome:
        found = outcome(self.search.coalitions.task, self.search.coalitions[kept], self.seed)
        if self.search.divergence is None:
            return found
        apart = outcome(self.search.divergence.task, self.search.divergence[kept], self.seed)
        return found.model_copy(update={"divergence": apart.loss})

    def on_test(self, kept: Kept) -> Outcome:
        return outcome(self.test.task, self.test[kept], self.seed)


def result_of(
    request: PlanRequest,
    analysis: AnalysisResult,
    planned: Planned,
    prediction: Prediction,
    precisions: list[PrecisionPoint],
) -> PlanResult:
    search, kept = planned.search, planned.kept
    everything = search.coalitions.everything
    candidates = [
        Candidate(
            source="search",
            remove=sorted(everything - kept),
            select=planned.on_select(kept),
            test=planned.on_test(kept),
        )
    ]
    for name in sorted(planned.seeds, key=lambda name: search.quality(planned.seeds[name])):
        chosen = planned.seeds[name]
        measured = chosen in planned.test.known()
        candidates.append(
            Candidate(
                source=name,
                remove=sorted(everything - chosen),
                select=planned.on_select(chosen),
                test=planned.on_test(chosen) if measured else None,
            )
        )
    units = search.coalitions.layered.layers
    parameters = {unit.index: unit.parameters for unit in units}
    total = parameter_count(search.coalitions.layered.model)
    whole = goes(frozenset(), search.sizes)
    frontier = [
        FrontierPoint(
            keep=sorted(best),
            remove=sorted(everything - best),
            ratio=whole / (whole - goes(best, search.sizes)),
            parameters=total - sum(parameters[unit] for unit in everything - best),
            select=planned.on_select(best),
        )
        for best in search.frontier().values()
    ]
    return PlanResult(
        target=request.target(),
        task=analysis.task,
        metric=analysis.metric,
        layers=units,
        remove=sorted(everything - kept),
        keep=sorted(kept),
        dense=planned.on_select(everything),
        dense_test=planned.on_test(everything),
        candidates=candidates,
        frontier=frontier,
        precisions=precisions,
        prediction=prediction,
        evaluations=search.coalitions.evaluations,
        exhaustive=planned.exhaustive,
        granularity=request.granularity,
        objective=request.objective,
        spent=search.spent,
        uncertain=_uncertain(request, candidates, analysis.metric, planned, prediction),
    )


def predict(layered: LayeredModel, kept: Kept, batches: Sequence[Batch], progress: Progress) -> Prediction:
    """Size by counting, latency by timing the model with the layers skipped."""
    batch = batches[len(batches) // 2].to(layered.device)
    call = forward_call(layered.model, batch)
    removed = frozenset(range(len(layered))) - kept

    def skipped() -> None:
        with layered.skipping(removed):
            call()

    calls = {"dense": call} | ({"planned": skipped} if removed else {})
    seconds = latencies(calls, layered.device, TIMINGS, progress)
    total = parameter_count(layered.model)
    left = total - sum(layered.blocks[layer].parameters for layer in removed)
    return Prediction(
        parameters=left,
        disk_mb=left * BYTES / 1e6,
        latency_ms=median_estimate(seconds["planned" if removed else "dense"] * 1000),
        dense_latency_ms=median_estimate(seconds["dense"] * 1000),
        conditions=shape(batch),
    )


def _uncertain(
    request: PlanRequest, candidates: list[Candidate], metric: str, planned: Planned, prediction: Prediction
) -> list[str]:
    """What the numbers leave open, in words."""
    chosen, best = candidates[0], candidates[1]
    notes = []
    if best.remove != chosen.remove and _overlap(chosen.select.metric, best.select.metric):
        notes.append(
            f"On select the chosen layers and those of {title(best.source)} differ by less than their intervals "
            f"({metric} {chosen.select.metric.value:.4g} and {best.select.metric.value:.4g})."
        )
    if chosen.test and best.test and best.remove != chosen.remove:
        sign = 1 if planned.test.task.higher_is_better else -1
        if sign * best.test.metric.value > sign * chosen.test.metric.value:
            notes.append(
                f"On the test split {title(best.source)} did better than the chosen layers "
                f"({metric} {best.test.metric.value:.4g} and {chosen.test.metric.value:.4g})."
            )
    notes += _disagreements(request, candidates, metric, planned)
    if request.max_latency is not None and prediction.latency_ms.value > request.max_latency:
        notes.append(
            f"The model with these layers skipped took {prediction.latency_ms.value:.4g} ms, more than the {request.max_latency:g} "
            "ms that were asked for, although the layers timed one by one had promised less: the machine is busy, or ask for less."
        )
    if not planned.exhaustive:
        notes.append(
            f"{planned.search.coalitions.evaluations} sets of layers were measured, not all of this size; a larger --budget "
            "may find a better one."
        )
    if request.granularity == "sublayer":
        notes.append(
            "Parts of blocks are removed: no configuration of transformers describes such a model, so it can be measured here "
            "and not be saved."
        )
    if request.precisions:
        notes.append(
            "Sizes on disk by precision are predicted from the tensors; which points are dominated goes by the values, not by "
            "their intervals."
        )
    notes.append("Nothing was healed yet: the numbers are those of the model with layers skipped.")
    return notes


def _disagreements(request: PlanRequest, candidates: list[Candidate], metric: str, planned: Planned) -> list[str]:
    """Where another candidate is better by a number that the search did not go by."""
    chosen = candidates[0]
    sign = -1 if planned.search.coalitions.task.higher_is_better else 1
    gone_by = {"metric": metric, "loss": "loss", "kl": "KL divergence"}[request.objective]
    found = []
    by_loss = min(candidates, key=lambda each: each.select.loss.value)
    if by_loss.select.loss.value < chosen.select.loss.value:
        found.append(
            f"{gone_by} and loss disagree: {title(by_loss.source)} has the lower loss ({by_loss.select.loss.value:.4g} against "
            f"{chosen.select.loss.value:.4g} nats)."
        )
    by_metric = min(candidates, key=lambda each: sign * each.select.metric.value)
    if sign * by_metric.select.metric.value < sign * chosen.select.metric.value:
        found.append(
            f"{gone_by} and {metric} disagree: {title(by_metric.source)} has the better {metric} "
            f"({by_metric.select.metric.value:.4g} against {chosen.select.metric.value:.4g})."
        )
    return found


def _overlap(a: Estimate, b: Estimate) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return True
    return a.low <= b.high and b.low <= a.high


def measurements(result: PlanResult) -> list[Measurement]:
    """Quality of the dense model and of the plan, on select and on test."""

    def measured(subject: str, split: str, found: Outcome) -> list[Measurement]:
        return [
            Measurement(name=name, subject=subject, split=split, value=e.value, low=e.low, high=e.high, unit=unit)
            for name, e, unit in ((result.metric, found.metric, ""), ("loss", found.loss, "nats"))
        ]

    chosen = result.candidates[0]
    found = [*measured("dense", "select", result.dense), *measured("planned", "select", chosen.select)]
    found += measured("dense", "test", result.dense_test)
    if chosen.test:
        found += measured("planned", "test", chosen.test)
    return found
