"""What is compared: ours and the straightforward way, on the same model, rows, steps and baseline."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from analyzers import datasets
from analyzers.coalitions import Coalitions
from analyzers.datasets.splits import split
from analyzers.importance import choose
from analyzers.importance.conductance import path_conductance
from analyzers.importance.engine import Engine
from analyzers.layers import LayeredModel
from analyzers.models import load, match_labels
from analyzers.progress import Progress
from analyzers.references import parse_data, parse_model
from tests.bench import straightforward

Numbers = dict[str, np.ndarray]  # what a side found, by method


@dataclass(frozen=True)
class Case:
    title: str
    setting: str
    target: float  # ratio of the times
    tolerance: float  # of the greatest difference, relative to the greatest number
    ours: Callable[[], Numbers]
    straightforward: Callable[[], Numbers]
    repeats: int = 1  # alternating; the medians count
    exact: tuple[Callable[[], Numbers], Callable[[], Numbers]] | None = None  # both sides in float64, on some layers


@cache
def language_model(windows: int, tokens: int, cache_folder: Path) -> Engine:
    quiet = Progress()
    data = datasets.load(parse_data("demo:nyt"), cache_folder, quiet, labelled=False)
    loaded = load(parse_model("demo:smollm2"), cache_folder, torch.device("cpu"), quiet)
    batches = loaded.task.batches(split(data, 0).train, loaded.tokenizer, 16, tokens, samples=windows)
    return Engine(LayeredModel(loaded.model), loaded.task, loaded.tokenizer, batches)


@contextmanager
def double(engine: Engine) -> Iterator[None]:
    engine.layered.model.double()
    try:
        yield
    finally:
        engine.layered.model.float()


def fresh(engine: Engine) -> Engine:
    """The same model and data, and nothing remembered."""
    return Engine(engine.layered, engine.task, engine.tokenizer, engine.batches, engine.seed)


def conductance(cache_folder: Path) -> Case:
    engine = language_model(1, 64, cache_folder)
    steps, (batch,) = 8, engine.batches
    some = [0, 1, 15]

    def ours() -> Numbers:
        return {"conductance": torch.stack(path_conductance(engine, batch, steps)[0]).numpy()}

    def captum(layers: Sequence[int]) -> Numbers:
        return {"conductance": torch.stack(straightforward.layer_conductance(engine, batch, steps, layers)).numpy()}

    def exact() -> Numbers:
        with double(engine):
            return {"conductance": ours()["conductance"][some]}

    def captum_exact() -> Numbers:
        with double(engine):
            return captum(some)

    return Case(
        "conductance of 30 layers",
        f"demo:smollm2, 1 window of 64 tokens, {steps} steps; captum's LayerConductance layer by layer. Units of this "
        "model that are a thousand times the others round gradients in float32 (either side is 2e-3 from float64), so "
        "the numbers are compared in float64, on three layers",
        20,
        1e-4,
        ours,
        lambda: captum(range(len(engine.layered))),
        exact=(exact, captum_exact),
    )


def ablation(cache_folder: Path) -> Case:
    engine = language_model(2, 128, cache_folder)

    def ours() -> Numbers:
        memo = Coalitions(engine.layered, engine.task, engine.batches)
        sets = [memo.everything, *(memo.everything - {layer} for layer in sorted(memo.everything))]
        return {"losses": np.array([found.loss.mean() for found in memo.measure(sets)])}

    return Case(
        "ablation of 30 layers",
        "demo:smollm2, 2 windows of 128 tokens; 31 full forward passes",
        1.6,
        1e-5,
        ours,
        lambda: {"losses": straightforward.ablation_losses(engine)},
        repeats=3,
    )


def fisher(cache_folder: Path) -> Case:
    quiet = Progress()
    splits = split(datasets.load(parse_data("demo:amazon"), cache_folder, quiet, labelled=True), 0)
    loaded = load(parse_model("demo:minilm"), cache_folder, torch.device("cpu"), quiet, labels=splits.labels)
    splits = match_labels(splits, loaded)
    batches = loaded.task.batches(splits.train, loaded.tokenizer, 16, 128, samples=128)
    engine = Engine(LayeredModel(loaded.model), loaded.task, loaded.tokenizer, batches)
    (method,) = choose(("fisher",))
    return Case(
        "Fisher",
        "demo:minilm with a new head, 128 texts of demo:amazon; a backward pass for each text",
        2,
        1e-4,
        lambda: {"fisher": np.array([score.value for score in method.score(fresh(engine))])},
        lambda: {"fisher": straightforward.fisher(engine)},
        repeats=5,
    )


def together(cache_folder: Path) -> Case:
    # An analysis as it is, only of short windows: with fewer steps or sets the methods would not weigh what they do.
    engine = language_model(16, 8, cache_folder)

    def ours() -> Numbers:
        new = fresh(engine)
        return {method.id: np.array([score.value for score in new.score(method)]) for method in choose(("main",))}

    def other() -> Numbers:
        return {method.id: getattr(straightforward, method.id)(engine) for method in choose(("main",))}

    return Case(
        "six methods together",
        "demo:smollm2, 16 windows of 8 tokens, everything else as in an analysis",
        8,
        1e-3,
        ours,
        other,
    )


CASES: dict[str, Callable[[Path], Case]] = {"a": conductance, "b": ablation, "c": fisher, "d": together}
