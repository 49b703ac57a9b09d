"""The whole of one analysis: scores of several methods, their agreement, their fidelity, their consensus."""

from collections.abc import Sequence
from pathlib import Path

import torch

from analyzers.coalitions import Coalitions
from analyzers.consensus import agreement, consensus, order_of
from analyzers.errors import Cancelled, LayerwiseError, StorageError, UsageError
from analyzers.fidelity import measure_fidelity
from analyzers.importance import Method, choose
from analyzers.importance.engine import Engine
from analyzers.journal import Journal
from analyzers.layers import LayeredModel
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.records import AnalysisResult, LayerScore
from analyzers.samples import ROWS, spread
from analyzers.stability import stability
from analyzers.tasks import Batch


def analyze(
    loaded: Loaded,
    calibration: Sequence[Batch],
    held_out: Sequence[Batch],
    methods: tuple[str, ...],
    seed: int,
    progress: Progress,
    journal: Journal | None = None,
) -> AnalysisResult:
    """Score every layer with every method, then measure which method to believe.

    Args:
        loaded: the model.
        calibration: batches of the train split; scores are computed on them.
        held_out: batches of the select split; deletion curves are measured on them.
        methods: names, ("main",) or ("all",).
        seed: of probes, permutations, random orders and intervals.
        progress: ticks in every step.
        journal: keeps what is finished; what an earlier call kept there is not computed again.

    Raises:
        UnknownMethod: a name that no method has.
        NoBlocks: the model has no stack of layers.
        NotFinite, DataError, ModelError: no method could be computed; with some left, `failed` says why the others were not.
        Cancelled: the user stopped it.
    """
    chosen = choose(methods)
    layered = LayeredModel(loaded.model)
    reducers = tuple(reducer for method in chosen for reducer in method.reducers)
    engine = Engine(
        layered,
        loaded.task,
        loaded.tokenizer,
        calibration,
        seed,
        progress,
        journal=journal or Journal(),
        wanted=reducers,
    )
    scores, failed = _scores(chosen, engine)
    held_out = spread(held_out, ROWS[loaded.task.name].curves)
    coalitions = Coalitions(layered, loaded.task, held_out, engine.journal, "held-out")
    fidelity = measure_fidelity(coalitions, {name: order_of(found) for name, found in scores.items()}, seed, progress)
    best = max(fidelity.values, key=lambda name: fidelity.values[name].value)
    engine.diagnostics["calibration_examples"] = float(engine.examples)
    engine.diagnostics["held_out_examples"] = float(coalitions.examples)
    memos = {engine.coalitions, engine.game, coalitions}  # the first two may be one
    engine.diagnostics["evaluations"] = float(sum(memo.evaluations for memo in memos))
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
        stability={name: stability(values, seed) for name, values in engine.values.items()},
        failed=failed,
        diagnostics=engine.diagnostics,
    )


def _scores(chosen: Sequence[Method], engine: Engine) -> tuple[dict[str, list[LayerScore]], dict[str, str]]:
    """Scores of the methods that could be computed, and why the others could not."""
    scores: dict[str, list[LayerScore]] = {}
    failed: dict[str, LayerwiseError] = {}
    for method in chosen:
        try:
            scores[method.id] = engine.score(method)
        except (Cancelled, StorageError):
            raise
        except LayerwiseError as problem:
            failed[method.id] = problem
            engine.progress.say(f"without {method.id}: {problem}")
    if not scores:
        raise next(iter(failed.values()))
    return scores, {name: str(problem) for name, problem in failed.items()}


class Analyzer:
    """Layer importance of one model, for use from Python. Nothing is recorded; `layerwise analyze` keeps a run."""

    def __init__(self, model_name: str, task_type: str, cache: Path, device: torch.device) -> None:
        self.model_name, self.task_type, self.cache, self.device = model_name, task_type, cache, device

    def analyze_importance(
        self,
        data: str,
        *,
        methods: tuple[str, ...] = ("main",),
        samples: int | None = None,
        max_tokens: int = 128,
        batch_size: int = 16,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> AnalysisResult:
        """Scores, agreement and fidelity on a data set.

        Args:
            data: a reference such as demo:amazon or csv:reviews.csv.
            methods: names of importance methods, ("main",) for six of them or ("all",).
            samples: calibration examples from the train split; None: 256 texts, 16 windows for a language model.
            max_tokens: of a text, or of a window.
            batch_size: rows of a forward pass.
            seed: of the splits and of everything that is drawn.
            progress: told how far it is.

        Raises:
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
        calibration, held_out = (
            loaded.task.batches(
                part, loaded.tokenizer, batch_size, max_tokens, samples or ROWS[loaded.task.name].calibration, seed
            )
            for part in (splits.train, splits.select)
        )
        return analyze(loaded, calibration, held_out, methods, seed, progress)
