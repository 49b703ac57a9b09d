"""The whole of one analysis: scores of several methods, their agreement, their fidelity, their consensus."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import torch

from analyzers.coalitions import Coalitions
from analyzers.consensus import agreement, consensus, order_of
from analyzers.datasets import Example
from analyzers.datasets.splits import Splits
from analyzers.errors import Cancelled, EngineFailed, LayerwiseError, ModelError, StorageError, UsageError
from analyzers.estimate import Expected, expect
from analyzers.executor import Executor
from analyzers.fidelity import measure_fidelity
from analyzers.importance import Method, choose
from analyzers.importance.engine import Engine
from analyzers.journal import Journal
from analyzers.layers import LayeredModel
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.records import AnalysisResult, AnalyzeRequest, LayerScore, Steadiness
from analyzers.samples import ROWS, growing, spread
from analyzers.stability import SETTLED, stability
from analyzers.tasks import Batch
from analyzers.training import token_limit


def analyze_splits(
    loaded: Loaded,
    splits: Splits,
    request: AnalyzeRequest,
    progress: Progress,
    journal: Journal | None = None,
    tell: Callable[[Expected], None] | None = None,
    executor: Executor | None = None,
) -> AnalysisResult:
    """What `analyze` gives on as many examples of the splits as the request says.

    Raises:
        LayerwiseError: what `analyze` raises.
    """
    rows = ROWS[loaded.task.name]
    limit = token_limit(loaded.model, loaded.tokenizer, request.max_tokens)

    def sample(part: Sequence[Example], size: int) -> Sequence[Batch]:
        return loaded.task.batches(part, loaded.tokenizer, request.batch_size, limit, size, request.seed)

    until_steady = request.samples == "auto"
    size = rows.calibration if request.samples in ("auto", None) else int(request.samples)
    calibrations = growing(rows, partial(sample, splits.train)) if until_steady else [sample(splits.train, size)]
    held_out = sample(splits.select, size)
    return analyze(
        loaded,
        calibrations,
        held_out,
        request.methods,
        request.seed,
        progress,
        journal,
        until_steady=until_steady,
        tell=tell,
        executor=executor,
    )


def analyze(
    loaded: Loaded,
    calibrations: Iterable[Sequence[Batch]],
    held_out: Sequence[Batch],
    methods: tuple[str, ...],
    seed: int,
    progress: Progress,
    journal: Journal | None = None,
    *,
    until_steady: bool = False,
    tell: Callable[[Expected], None] | None = None,
    executor: Executor | None = None,
) -> AnalysisResult:
    """Score every layer with every method, then measure which method to believe.

    Args:
        loaded: the model.
        calibrations: samples of the train split, each as batches; scores are computed on the first. Where there are more,
            each is for the methods whose order of the layers is not steady yet, and their scores are those of the last.
        held_out: batches of the select split; deletion curves are measured on them.
        methods: names, ("main",) or ("all",).
        seed: of probes, permutations, random orders and intervals.
        progress: ticks in every step.
        journal: keeps what is finished; what an earlier call kept there is not computed again.
        until_steady: there are more samples, and the methods that cost much for each example read all of each too.
        tell: told what time and memory it will take, on the first sample, before it starts.
        executor: computes methods and passes over batches.

    Raises:
        UnknownMethod: a name that no method has.
        NoBlocks: the model has no stack of layers.
        NotFinite, DataError, ModelError: no method could be computed; with some left, `failed` says why the others were not.
        Cancelled: the user stopped it.
    """
    chosen = choose(methods)
    layered = LayeredModel(loaded.model)
    journal, executor, diagnostics = journal or Journal(), executor or Executor(), dict[str, float]()
    engines: Iterator[Engine] = (
        Engine(
            layered,
            loaded.task,
            loaded.tokenizer,
            batches,
            seed,
            progress,
            diagnostics,
            journal.part(f"sample-{number}"),
            whole=until_steady,
            executor=executor,
        )
        for number, batches in enumerate(calibrations)
    )
    curves = spread(held_out, ROWS[loaded.task.name].curves)
    coalitions = Coalitions(layered, loaded.task, curves, journal, "held-out", executor)
    if tell is not None:
        first = next(engines)
        _tell(tell, first, chosen, coalitions)
        engines = chain([first], engines)
    found = _scored(chosen, engines, progress)
    scores = {method.id: found.scores[method.id] for method in chosen if method.id in found.scores}
    fidelity = measure_fidelity(coalitions, {name: order_of(each) for name, each in scores.items()}, seed, progress)
    best = max(fidelity.values, key=lambda name: fidelity.values[name].value)
    diagnostics["calibration_examples"] = float(found.examples)
    diagnostics["held_out_examples"] = float(coalitions.examples)
    diagnostics["evaluations"] = float(found.evaluations + coalitions.evaluations)
    return AnalysisResult(
        task=loaded.task.name,
        metric=loaded.task.metric,
        layers=layered.layers,
        scores=scores,
        units={method.id: method.unit for method in chosen if method.id in scores},
        agreement=agreement(scores),
        fidelity=fidelity.values,
        curves=fidelity.curves,
        consensus=consensus(scores, fidelity.values),
        believe=best if fidelity.values[best].value > 0 else None,
        stability={name: found.stability[name] for name in scores},
        failed={name: str(problem) for name, problem in found.failed.items()},
        diagnostics=diagnostics,
    )


@dataclass
class _Scored:
    """What the methods gave on the samples that they read."""

    scores: dict[str, list[LayerScore]] = field(default_factory=dict)
    stability: dict[str, Steadiness] = field(default_factory=dict)
    failed: dict[str, LayerwiseError] = field(default_factory=dict)
    examples: int = 0
    evaluations: int = 0

    def steady(self, method: Method) -> bool:
        return method.id in self.scores and self.stability[method.id].tau >= SETTLED


def _scored(chosen: Sequence[Method], engines: Iterable[Engine], progress: Progress) -> _Scored:
    """Scores of the methods that could be computed, and why the others could not."""
    found, left = _Scored(), list(chosen)
    for engine in engines:
        engine.wanted = tuple(reducer for method in left for reducer in method.reducers)
        begun = engine.begin(left)  # they are waited for last: what others need of this process fills the time
        for method in sorted(left, key=lambda each: (each.id in begun, not each.early)):
            found.scores.pop(method.id, None)
            found.failed.pop(method.id, None)
            try:
                found.scores[method.id] = engine.score(method)
            except (Cancelled, StorageError, OSError, EngineFailed):  # of the disk or a cluster, not of a method
                raise
            except LayerwiseError as problem:
                found.failed[method.id] = problem
            except Exception as problem:  # noqa: BLE001 - whatever a model or a method raises, other methods may do
                found.failed[method.id] = ModelError(f"{_raised(problem)}; leave the method out with --methods")
            else:
                found.stability[method.id] = stability(engine.values[method.id], engine.seed)
        found.examples = engine.examples
        found.evaluations += sum(memo.evaluations for memo in {engine.coalitions, engine.game})  # they may be one
        left = [method for method in left if not found.steady(method)]
        if not left:
            break
    for name, why in found.failed.items():
        progress.say(f"without {name}: {why}")
    if not found.scores:
        raise next(iter(found.failed.values()))
    return found


def _tell(tell: Callable[[Expected], None], engine: Engine, chosen: Sequence[Method], held_out: Coalitions) -> None:
    try:
        expected = expect(engine, chosen, held_out)
    except Cancelled:
        raise
    except Exception as problem:  # noqa: BLE001 - the methods will say what is wrong with the model
        engine.progress.say(f"how long it takes cannot be told: {_raised(problem)}")
    else:
        tell(expected)


def _raised(problem: Exception) -> str:
    lines = str(problem).strip().splitlines() or ["no message"]
    return f"the model raised {type(problem).__name__}: {lines[0]}"


class Analyzer:
    """Layer importance of one model, for use from Python. Nothing is recorded; `layerwise analyze` keeps a run."""

    def __init__(self, model_name: str, task_type: str, cache: Path, device: torch.device) -> None:
        self.model_name, self.task_type, self.cache, self.device = model_name, task_type, cache, device

    def analyze_importance(
        self,
        data: str,
        *,
        methods: tuple[str, ...] = ("main",),
        samples: int | Literal["auto"] | None = None,
        max_tokens: int = 128,
        batch_size: int = 16,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> AnalysisResult:
        """Scores, agreement and fidelity on a data set.

        Args:
            data: a reference such as demo:amazon or csv:reviews.csv.
            methods: names of importance methods, ("main",) for six of them or ("all",).
            samples: calibration examples from the train split; None: 256 texts, 16 windows for a language model; "auto":
                for each method as many as it takes until the order of its layers stays.
            max_tokens: of a text, or of a window.
            batch_size: rows of a forward pass.
            seed: of the splits and of everything that is drawn.
            progress: told how far it is.

        Raises:
            ValueError: a number is out of its range; the message says which is allowed.
            UsageError: the model's head is made for another task than `task_type`.
            LayerwiseError: see `analyzers.errors`.
        """
        from analyzers import datasets
        from analyzers.datasets.splits import split
        from analyzers.models import is_language_model, load, match_labels
        from analyzers.references import parse_data, parse_model

        progress = progress or Progress()
        reference = parse_model(self.model_name)
        language_model = is_language_model(reference, self.cache, progress)
        if language_model != (self.task_type == "language_modeling"):
            does = "language_modeling" if language_model else "classification"
            raise UsageError(f"{self.model_name} does not do {self.task_type}; give the analyzer task_type={does!r}")
        splits = split(datasets.load(parse_data(data), self.cache, progress, not language_model), seed)
        loaded = load(reference, self.cache, self.device, progress)
        splits = match_labels(splits, loaded)
        request = AnalyzeRequest(
            model=self.model_name,
            data=data,
            methods=methods,
            samples=samples,
            max_tokens=max_tokens,
            batch_size=batch_size,
            seed=seed,
        )
        return analyze_splits(loaded, splits, request, progress)
