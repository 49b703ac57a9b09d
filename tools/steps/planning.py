"""Choose the layers to remove, by measuring."""

from collections.abc import Mapping
from dataclasses import dataclass

from analyzers.baselines import similarity
from analyzers.coalitions import Coalitions, Kept
from analyzers.consensus import order_of
from analyzers.errors import UnknownRun
from analyzers.evaluation import forward_call, latencies, outcome
from analyzers.layers import LayeredModel
from analyzers.planning import Search, check_drop, layers_to_keep, within_drop
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
    Prediction,
    Run,
)
from analyzers.samples import ROWS
from analyzers.statistics import median_estimate
from analyzers.tasks import Batch
from analyzers.training import token_limit
from tools.inputs import Inputs, check_unchanged, open_inputs
from tools.recording import recording
from tools.workspace import Workspace

TIMINGS = 20
BYTES = 4  # of a float32 parameter


@dataclass(frozen=True)
class _Planned:
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
        return outcome(self.search.coalitions.task, self.search.coalitions[kept], self.seed)

    def on_test(self, kept: Kept) -> Outcome:
        return outcome(self.test.task, self.test[kept], self.seed)


def run(request: PlanRequest, workspace: Workspace, progress: Progress) -> Run:
    parent, analysis = _analysis(request.analysis, workspace)
    if request.max_drop is None:  # a target that cannot be met is said before any work
        layers_to_keep(request.target(), len(analysis.layers))
    else:
        check_drop(request.max_drop)
    wanted = parent.settings
    inputs = open_inputs(parent.model, str(parent.data), int(wanted["split_seed"]), workspace, progress)
    check_unchanged(inputs.splits, parent)
    with recording(
        workspace,
        "plan",
        request,
        model=parent.model,
        data=parent.data,
        splits=inputs.splits.fingerprints,
        parents=[parent.id],
        settings=inputs.settings,
        device=str(inputs.device),
    ) as active:
        batches = _batches(request, parent, inputs)
        layered = LayeredModel(inputs.loaded.model)
        found = similarity(layered, inputs.loaded.task, batches["train"], progress)
        orders = {name: order_of(scores) for name, scores in analysis.scores.items()}
        orders["consensus"] = list(reversed(analysis.consensus))
        search = Search(
            Coalitions(layered, inputs.loaded.task, batches["select"]), orders, found, request.budget, progress
        )
        search.coalitions.measure([search.coalitions.everything], progress, "the dense model on select")
        kept, seeds, exhaustive = _choose(request, search)
        _explore(search, len(kept))
        planned = _Planned(
            search, kept, seeds, exhaustive, Coalitions(layered, inputs.loaded.task, batches["test"]), request.seed
        )
        planned.test.measure(
            [planned.test.everything, kept, seeds[planned.best_baseline]], progress, "the choice on the test split"
        )
        active.result = result = _result(request, analysis, planned, _predict(layered, kept, batches["test"], progress))
        active.measurements = _measurements(result)
    return active.finished


def _analysis(run_id: str, workspace: Workspace) -> tuple[Run, AnalysisResult]:
    run = workspace.runs.get(run_id)
    if not isinstance(run.result, AnalysisResult):
        raise UnknownRun(
            f"{run_id} is a run of the kind {run.kind} ({run.status}); a plan starts from a finished analysis: make one with: "
            "layerwise analyze MODEL DATA"
        )
    return run, run.result


def _batches(request: PlanRequest, parent: Run, inputs: Inputs) -> dict[str, list[Batch]]:
    loaded = inputs.loaded
    limit = token_limit(loaded.model, loaded.tokenizer, int(parent.settings["max_tokens"]))
    size = int(parent.settings["batch_size"])
    rows = ROWS[loaded.task.name]
    samples = {"train": rows.calibration, "select": request.samples or rows.search, "test": None}
    return {
        name: loaded.task.batches(getattr(inputs.splits, name), loaded.tokenizer, size, limit, count, request.seed)
        for name, count in samples.items()
    }


def _choose(request: PlanRequest, search: Search) -> tuple[Kept, dict[str, Kept], bool]:
    if request.max_drop is not None:
        return within_drop(search, request.max_drop)
    return search.best(layers_to_keep(request.target(), search.layers))


def _explore(search: Search, chosen: int) -> None:
    """What is left of the budget goes to the other sizes, the nearest first: the frontier."""
    for keep in sorted(range(1, search.layers), key=lambda size: abs(size - chosen)):
        if keep != chosen and search.coalitions.evaluations < search.budget:
            search.best(keep)


def _result(request: PlanRequest, analysis: AnalysisResult, planned: _Planned, prediction: Prediction) -> PlanResult:
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
    parameters = {layer.index: layer.parameters for layer in analysis.layers}
    total = sum(p.numel() for p in search.coalitions.layered.model.parameters())
    frontier = [
        FrontierPoint(
            keep=sorted(best),
            remove=sorted(everything - best),
            ratio=search.layers / size,
            parameters=total - sum(parameters[layer] for layer in everything - best),
            select=planned.on_select(best),
        )
        for size, best in search.sizes().items()
    ]
    return PlanResult(
        target=request.target(),
        task=analysis.task,
        metric=analysis.metric,
        layers=analysis.layers,
        remove=sorted(everything - kept),
        keep=sorted(kept),
        dense=planned.on_select(everything),
        dense_test=planned.on_test(everything),
        candidates=candidates,
        frontier=frontier,
        prediction=prediction,
        evaluations=search.coalitions.evaluations,
        exhaustive=planned.exhaustive,
        uncertain=_uncertain(candidates, analysis.metric, planned),
    )


def _predict(layered: LayeredModel, kept: Kept, batches: list[Batch], progress: Progress) -> Prediction:
    """Size by counting, latency by timing the model with the layers skipped."""
    batch = batches[len(batches) // 2].to(layered.device)
    call = forward_call(layered.model, batch)
    removed = frozenset(range(len(layered))) - kept

    def skipped() -> None:
        with layered.skipping(removed):
            call()

    seconds = latencies({"dense": call, "planned": skipped}, layered.device, TIMINGS, progress)
    total = sum(p.numel() for p in layered.model.parameters())
    left = total - sum(layered.blocks[layer].parameters for layer in removed)
    return Prediction(
        parameters=left,
        disk_mb=left * BYTES / 1e6,
        latency_ms=median_estimate(seconds["planned"] * 1000),
        dense_latency_ms=median_estimate(seconds["dense"] * 1000),
    )


def _uncertain(candidates: list[Candidate], metric: str, planned: _Planned) -> list[str]:
    """What the numbers leave open, in words."""
    chosen, best = candidates[0], candidates[1]
    notes = []
    if best.remove != chosen.remove and _overlap(chosen.select.metric, best.select.metric):
        notes.append(
            f"On select the chosen layers and those of {best.source} differ by less than their intervals "
            f"({metric} {chosen.select.metric.value:.4g} and {best.select.metric.value:.4g})."
        )
    if chosen.test and best.test and best.remove != chosen.remove:
        task = planned.test.task
        sign = 1 if task.higher_is_better else -1
        if sign * best.test.metric.value > sign * chosen.test.metric.value:
            notes.append(
                f"On the test split {best.source} did better than the chosen layers "
                f"({metric} {best.test.metric.value:.4g} and {chosen.test.metric.value:.4g})."
            )
    by_loss = min(candidates, key=lambda candidate: candidate.select.loss.value)
    if by_loss.select.loss.value < chosen.select.loss.value:
        notes.append(
            f"{metric} and loss disagree: {by_loss.source} has the lower loss ({by_loss.select.loss.value:.4g} against "
            f"{chosen.select.loss.value:.4g} nats)."
        )
    if not planned.exhaustive:
        notes.append(
            f"{planned.search.coalitions.evaluations} sets of layers were measured, not all of this size; a larger --budget "
            "may find a better one."
        )
    notes.append("Nothing was healed yet: the numbers are those of the model with layers skipped.")
    return notes


def _overlap(a: Estimate, b: Estimate) -> bool:
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return True
    return a.low <= b.high and b.low <= a.high


def _measurements(result: PlanResult) -> list[Measurement]:
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
