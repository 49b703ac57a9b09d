"""How much work a step is, and how much the earlier runs of a home were: what forecasts are scaled by."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from analyzers.budget import EVALUATIONS
from analyzers.compression.healing import EPOCHS
from analyzers.errors import DamagedRecord, UnknownRun
from analyzers.records import (
    AnalysisResult,
    AnalyzeRequest,
    CompressionResult,
    CompressRequest,
    EvaluateRequest,
    EvaluationResult,
    Kind,
    PlanRequest,
    PlanResult,
    Request,
    Run,
    TrainRequest,
    TrainResult,
)
from analyzers.requests import ExportRequest
from analyzers.run_ids import RUN_ID
from tools.machine import cpu
from tools.workspace import Workspace

NEWEST = 300  # runs that are looked at: each is read from its file, and a step is not to wait for ten thousand
FAR = 8.0  # times more or less work: fixed costs then decide, and a ratio says nothing
# Why there is no value. The wording of other languages is in prompts/answers.*.j2, by these sentences.
NO_RUN = "no such step has finished on this home yet"
ELSEWHERE = "the earlier runs were made on another machine or by another engine"
OTHERS = "the earlier runs had other settings"
TOO_FAR = f"the earlier runs were more than {FAR:g} times smaller or larger"
NO_SIZE = "the size of the model is not known before it has been opened once"
NO_COUNT = "the number of examples is not known before the data has been read once"


class Missing(Exception):
    """There is no forecast; the message says why."""


class Rule(NamedTuple):
    """How the steps of one kind are compared."""

    basis: str
    asked: Callable[[Any, "Home"], float]  # work of the request, in any unit
    done: Callable[[Run, "Home"], float]  # work of an earlier run, in the same unit
    alike: Callable[[Any, Run], bool] = lambda request, run: True  # noqa: ARG005


class Home:
    """The finished runs of a home, and what they tell of models and data."""

    def __init__(self, workspace: Workspace) -> None:
        self._store = workspace.runs
        self.runs = workspace.runs.list(status="done", limit=NEWEST)
        self.cpu = cpu()
        self.engine = workspace.engine.partition(":")[0]

    def of(self, kind: Kind) -> list[Run]:
        return [run for run in self.runs if run.kind == kind]

    def find(self, run_id: str) -> Run | None:
        found = next((run for run in self.runs if run.id == run_id), None)
        if found is None and RUN_ID.fullmatch(run_id):  # older than those that were looked at
            with suppress(UnknownRun, DamagedRecord):
                found = self._store.get(run_id)
        return found if found and found.status == "done" else None

    def check(self, request: Request) -> None:
        for name in ("analysis", "plan"):
            if given := getattr(request, name, None):
                self._store.get(given)

    def parent(self, request: Any) -> Run:
        """The analysis of a plan, or the plan of a compression."""
        found = self.find(getattr(request, "analysis", None) or request.plan)
        if found is None:
            raise Missing(NO_SIZE)
        return found

    def source(self, request: Any) -> tuple[str, str | None]:
        """Model and data of a request, or of the run that it starts from."""
        if isinstance(request, PlanRequest | CompressRequest):
            parent = self.parent(request)
            return parent.model, parent.data
        return request.model, getattr(request, "data", None)

    def parameters(self, model: str) -> float:
        """Of a model as its name stands in requests; known once a run has opened it."""
        own = self.find(model)
        made = [own] if own and own.kind in ("train", "compression") else []
        for run in made or [run for run in self.runs if run.model == model]:
            subjects = ("quantized", "healed", "compressed", "dense", "model") if made else ("dense", "model")
            if size := next((found for each in subjects if (found := run.measured("parameters", each))), None):
                return size.value
            if isinstance(run.result, TrainResult | EvaluationResult):
                return float(run.result.parameters)
        raise Missing(NO_SIZE)

    def examples(self, data: str | None, split: str) -> float:
        found = next((run.splits[split].n for run in self.runs if run.data == data and split in run.splits), None)
        if found is None:
            raise Missing(NO_COUNT)
        return float(found)

    def task(self, model: str) -> str | None:
        own = self.find(model)
        named = [own] if own else [run for run in self.runs if run.model == model]
        return next((task for run in named if (task := getattr(run.result, "task", None))), None)


def peak_of(run: Run) -> float | None:
    """Most memory that a run had, in MB: an analysis measures it from its first batch on, others as their whole process."""
    measured = run.measured("peak_memory_mb", "measured")
    return measured.value if measured else run.peak_mb


def _train_work(request: TrainRequest, home: Home) -> float:
    return home.examples(request.data, "train") * home.parameters(request.model) * request.epochs


def _trained(run: Run, home: Home) -> float:
    result = run.result
    if not isinstance(result, TrainResult):
        raise Missing(OTHERS)
    return home.examples(run.data, "train") * result.parameters * len(result.epochs)


def _analyze_work(request: AnalyzeRequest, home: Home) -> float:
    if isinstance(request.samples, int):
        return request.samples * home.parameters(request.model)
    task = home.task(request.model)
    same = [
        run
        for run in home.of("analysis")
        if _same_samples(request, run) and task in (None, getattr(run.result, "task", task))
    ]
    if not same:
        raise Missing(OTHERS if home.of("analysis") else NO_RUN)
    return _calibration(same[0]) * home.parameters(request.model)


def _analyzed(run: Run, home: Home) -> float:
    return _calibration(run) * home.parameters(run.model)


def _calibration(run: Run) -> float:
    """Examples that an analysis read."""
    known = run.result.diagnostics.get("calibration_examples") if isinstance(run.result, AnalysisResult) else None
    samples = run.settings.get("samples")
    if known:
        return known
    if isinstance(samples, int):
        return float(samples)
    raise Missing(OTHERS)


def _same_samples(request: AnalyzeRequest, run: Run) -> bool:
    """Whether both leave the number of examples open in the same way, or both name one."""
    named = "--samples" in run.command
    auto = run.settings.get("samples") == "auto"
    return auto if request.samples == "auto" else not auto and named == (request.samples is not None)


def _plan_work(request: PlanRequest, home: Home) -> float:
    """Sets of layers on the select examples: as many as may be measured, unless there are fewer."""
    parent = home.parent(request)
    if request.minutes is not None:
        raise Missing(OTHERS)
    layers = len(parent.result.layers) if isinstance(parent.result, AnalysisResult) else 0
    sets = request.budget or EVALUATIONS
    if request.granularity == "block":
        everything = 1.0 if request.ratio == 1 or request.keep == layers else 2.0**layers - 1
        sets = min(sets, everything)
    return sets * home.examples(parent.data, "select") * home.parameters(parent.model)


def _planned(run: Run, home: Home) -> float:
    if not isinstance(run.result, PlanResult) or run.settings.get("minutes") is not None:
        raise Missing(OTHERS)
    spent = run.result.spent or run.result.evaluations
    return spent * home.examples(run.data, "select") * home.parameters(run.model)


def _compress_work(request: CompressRequest, home: Home) -> float:
    model, data = home.source(request)
    return home.examples(data, "train") * home.parameters(model) * (request.epochs or EPOCHS)


def _compressed(run: Run, home: Home) -> float:
    if not isinstance(run.result, CompressionResult) or run.settings.get("heal_minutes") is not None:
        raise Missing(OTHERS)
    healing = run.result.healing
    epochs = sum(each.epoch > 0 for each in healing.epochs) if healing else 0
    return home.examples(run.data, "train") * home.parameters(run.model) * (epochs or EPOCHS)


def _evaluate_work(request: EvaluateRequest, home: Home) -> float:
    return home.examples(request.data, "test") * home.parameters(request.model)


def _evaluated(run: Run, home: Home) -> float:
    return home.examples(run.data, "test") * home.parameters(run.model)


def model_size(request: Request, home: Home) -> float:
    model = request.model  # type: ignore[attr-defined]
    plan = home.find(model)
    return home.parameters(plan.model if plan and plan.kind == "plan" else model)


def _same(*names: str) -> Callable[[Any, Run], bool]:
    """Runs with the same values of these settings."""
    return lambda request, run: all(run.settings.get(name) == request.model_dump(mode="json")[name] for name in names)


RULES: dict[type[Request], tuple[Kind, Rule]] = {
    TrainRequest: ("train", Rule("examples x parameters x epochs", _train_work, _trained, _same("max_tokens", "from_scratch"))),
    AnalyzeRequest: (
        "analysis",
        Rule(
            "examples x parameters",
            _analyze_work,
            _analyzed,
            lambda request, run: _same("methods", "max_tokens")(request, run)
            and (request.samples == "auto") == (run.settings.get("samples") == "auto"),
        ),
    ),
    PlanRequest: (
        "plan",
        Rule(
            "sets of layers x examples x parameters", _plan_work, _planned, _same("granularity", "objective", "precisions")
        ),
    ),
    CompressRequest: (
        "compression",
        Rule("examples x parameters x epochs", _compress_work, _compressed, _same("heal", "quantize", "heal_data")),
    ),
    EvaluateRequest: ("evaluation", Rule("examples x parameters", _evaluate_work, _evaluated, _same("max_tokens"))),
    ExportRequest: (
        "export",
        Rule("parameters", model_size, lambda run, home: home.parameters(run.model), _same("format")),
    ),
}  # fmt: skip


def known(look_up: Callable[..., float], *given: Any) -> float | None:
    try:
        return look_up(*given)
    except Missing:
        return None
