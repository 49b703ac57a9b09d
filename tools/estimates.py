"""What a step will cost, from earlier runs of its kind on this home: time, memory and disk.

An earlier run says how long a unit of work took (examples x parameters x epochs, sets of layers, ...). The median over the runs
that are alike, times the work that is asked for, is the forecast. Nothing is guessed: where there is no such run, and
no arithmetic of the step gives the value either, the forecast says why it is missing.
"""

from collections.abc import Callable, Sequence
from statistics import median

from analyzers.records import (
    AnalyzeRequest,
    CompressRequest,
    EvaluateRequest,
    Forecast,
    Forecasts,
    PlanRequest,
    PlanResult,
    Request,
    Run,
    TrainRequest,
)
from analyzers.requests import ExportRequest
from tools.workload import (
    ELSEWHERE,
    FAR,
    NO_RUN,
    OTHERS,
    RULES,
    TOO_FAR,
    Home,
    Missing,
    Rule,
    known,
    model_size,
    peak_of,
)
from tools.workspace import Workspace

__all__ = ["Forecast", "Forecasts", "forecast"]


def forecast(request: Request, workspace: Workspace) -> Forecasts:
    """Time, memory and disk of a step.

    Args:
        request: what is about to be asked of a workflow.
        workspace: whose finished runs are looked at; nothing is loaded or downloaded.

    Raises:
        UnknownRun: the request starts from a run that does not exist.
        StorageError: the home cannot be read.
    """
    home = Home(workspace)
    home.check(request)
    found: dict[str, Forecast | None] = {}
    unknown: dict[str, str] = {}
    for name, estimate in (("seconds", _seconds), ("memory_mb", _memory), ("disk_mb", _disk)):
        try:
            found[name] = estimate(request, home)
        except Missing as missing:
            found[name], unknown[name] = None, str(missing)
    return Forecasts(**found, unknown=unknown)


def _seconds(request: Request, home: Home) -> Forecast:
    minutes = getattr(request, "minutes", None) or getattr(request, "heal_minutes", None)
    if minutes:
        return Forecast(value=60.0 * minutes, n=0, runs=(), basis="the minutes that were asked for", at_least=True)
    _, rule = RULES[type(request)]
    own = [
        run
        for run in _alike(request, home)
        if run.environment.cpu == home.cpu and run.environment.engine.partition(",")[0] == home.engine
    ]
    if not own:
        raise Missing(ELSEWHERE)
    return _scaled(request, home, rule, own, lambda run: run.seconds)


def _memory(request: Request, home: Home) -> Forecast:
    """The peak of earlier runs of the same size; else the tensors that must be held at once, which is the least."""
    model, _ = home.source(request)
    size = _model_size_of(request, home)
    alike = _alike(request, home, strict=isinstance(request, AnalyzeRequest))
    peaks = [(run, peak) for run in alike if (peak := peak_of(run)) and _same_size(request, run, size, home)]
    if peaks:
        return _median(peaks, "peak of the process, same model and batch size")
    if isinstance(request, AnalyzeRequest):
        raise Missing(OTHERS)
    if isinstance(request, TrainRequest):
        return _computed(16 * size, "16 bytes x parameters: weights, gradients, two moments of AdamW")
    if isinstance(request, CompressRequest) and request.heal == "distill":
        plan = home.parent(request).result
        if isinstance(plan, PlanResult):
            held = 4 * home.parameters(model) + 16 * plan.prediction.parameters
            return _computed(held, "4 bytes x parameters of the teacher + 16 bytes x those of the smaller model")
    return _computed(4 * size, "4 bytes x parameters: the weights")


def _same_size(request: Request, run: Run, size: float, home: Home) -> bool:
    batch = getattr(request, "batch_size", None)
    return known(home.parameters, run.model) == size and (batch is None or run.settings.get("batch_size") == batch)


def _disk(request: Request, home: Home) -> Forecast:
    if isinstance(request, AnalyzeRequest | PlanRequest | EvaluateRequest):
        return Forecast(value=0.0, n=0, runs=(), basis="numbers are kept, no weights")
    if isinstance(request, CompressRequest):
        plan = home.parent(request)
        if isinstance(plan.result, PlanResult) and request.quantize == "none":
            return Forecast(value=plan.result.prediction.disk_mb, n=1, runs=(plan.id,), basis="predicted by the plan")
    size = _model_size_of(request, home)
    kept = [
        (run, sum(each.bytes for each in run.artifacts) / 1e6 / parameters * size)
        for run in _alike(request, home, strict=False)
        if run.artifacts and (parameters := known(home.parameters, run.model))
    ]
    if kept:
        return _median(kept, "bytes of its files, by parameters")
    if getattr(request, "quantize", "none") != "none" or getattr(request, "format", "hf") == "gguf":
        raise Missing(OTHERS if home.of(RULES[type(request)][0]) else NO_RUN)  # fewer bits, and by no fixed factor
    return _computed(4 * size, "4 bytes x parameters: the weights", at_least=False)


def _model_size_of(request: Request, home: Home) -> float:
    if isinstance(request, ExportRequest):
        return model_size(request, home)
    return home.parameters(home.source(request)[0])


def _alike(request: Request, home: Home, strict: bool = True) -> list[Run]:
    kind, rule = RULES[type(request)]
    runs = home.of(kind)
    if not runs and strict:
        raise Missing(NO_RUN)
    alike = [run for run in runs if rule.alike(request, run)]
    if not alike and strict:
        raise Missing(OTHERS)
    return alike


def _scaled(request: Request, home: Home, rule: Rule, runs: Sequence[Run], value: Callable[[Run], float]) -> Forecast:
    """The median of what the runs took, each scaled to the work that is asked for. Runs on the same data come first."""
    asked = rule.asked(request, home)
    model, data = home.source(request)
    task = home.task(model)
    works = [(run, work) for run in runs if (work := known(rule.done, run, home))]
    works = [(run, work) for run, work in works if task in (None, getattr(run.result, "task", task))]
    if not works:
        raise Missing(OTHERS)
    near = [(run, asked / work) for run, work in works if 1 / FAR <= asked / work <= FAR]
    if not near:
        raise Missing(TOO_FAR)
    near = [(run, times) for run, times in near if run.data == data] or near
    return _median([(run, value(run) * times) for run, times in near], rule.basis)


def _median(values: Sequence[tuple[Run, float]], basis: str) -> Forecast:
    found = median(value for _, value in values)
    return Forecast(value=round(found, 1), n=len(values), runs=tuple(run.id for run, _ in values), basis=basis)


def _computed(size: float, basis: str, at_least: bool = True) -> Forecast:
    return Forecast(value=round(size / 1e6, 1), n=0, runs=(), basis=basis, at_least=at_least)
