"""Analyses and searches on a cluster give the numbers that this process gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analyzers.analysis import analyze
from analyzers.baselines import Similarity
from analyzers.budget import Budget
from analyzers.coalitions import Coalitions
from analyzers.errors import ModelError
from analyzers.executor import Executor
from analyzers.importance import methods
from analyzers.journal import Journal
from analyzers.layers import LayeredModel
from analyzers.models import Loaded
from analyzers.planning import Published, Search
from analyzers.progress import Progress
from analyzers.records import AnalysisResult
from analyzers.sublayers import SubLayers
from analyzers.tasks import task_of
from analyzers.tasks.divergence import Divergence
from tests import tiny

pytestmark = pytest.mark.usefixtures("cluster")
MAIN = ("ablation", "conductance", "fisher", "gradient", "mutual_information", "shap")


class Counted(Executor):
    """A cluster that is told what it computed."""

    def __init__(self, pool: Any) -> None:
        self.pool, self.workers, self.elsewhere = pool, pool.workers, True
        self.mapped = 0
        self.methods: list[str] = []

    def map(self, function: Any, shared: Any, items: Any, progress: Progress) -> Any:
        pieces = list(items)
        self.mapped += len(pieces)
        return self.pool.map(function, shared, pieces, progress)

    def submit(self, function: Any, shared: Any, item: Any, arrived: Any) -> Any:
        self.methods.append(item.method)
        return self.pool.submit(function, shared, item, arrived)


def analysis(model: Any, names: tuple[str, ...], executor: Executor | None = None, **options: Any) -> AnalysisResult:
    language_model = "CausalLM" in type(model).__name__
    own, held_out = (tiny.windows(seed=s) if language_model else tiny.random_batches(16, seed=s) for s in (0, 1))
    progress = options.pop("progress", Progress())
    loaded = Loaded(model, tiny.Tokens(), task_of(model))
    return analyze(loaded, [own], held_out, names, 0, progress, executor=executor, **options)


def assert_alike(here: Any, there: Any) -> None:
    """The same to a millionth: what the order of additions may do."""
    if isinstance(here, dict):
        assert here.keys() == there.keys()
        for name in here:
            assert_alike(here[name], there[name])
    elif isinstance(here, list | tuple):
        assert len(here) == len(there)
        for one, other in zip(here, there, strict=True):
            assert_alike(one, other)
    elif isinstance(here, float):
        assert there == pytest.approx(here, rel=1e-6, abs=1e-9)
    else:
        assert here == there


@pytest.mark.parametrize("build", [lambda: tiny.bert(dropout=0.3), tiny.llama])
def test_every_method_gives_what_it_gives_here(build: Any, pool: Any) -> None:
    counted = Counted(pool)
    there = analysis(build(), ("all",), counted)
    assert_alike(analysis(build(), ("all",)).model_dump(), there.model_dump())
    assert set(MAIN) <= set(there.scores)
    assert counted.methods == [method.id for method in methods() if method.alone]  # each a task
    assert counted.mapped > 3 * pool.workers  # gradients, sets of layers: by batches


def test_finished_pieces_are_kept_as_here(pool: Any, tmp_path: Path) -> None:
    first = analysis(tiny.bert(), ("main",), Counted(pool), journal=Journal(tmp_path))
    kept = {path.stem for path in tmp_path.rglob("*.npz")}
    analysis(tiny.bert(), ("main",), journal=Journal(tmp_path / "here"))
    here = {path.stem for path in (tmp_path / "here").rglob("*.npz")}
    assert {f"method-{name}" for name in MAIN} <= kept
    assert {name for name in here if not name.startswith("sweep-")} == {n for n in kept if n[:5] != "sweep"}
    again = Counted(pool)
    assert_alike(first.model_dump(), analysis(tiny.bert(), ("main",), again, journal=Journal(tmp_path)).model_dump())
    assert (again.mapped, again.methods) == (0, [])


def test_a_method_that_fails_there_fails_as_here(pool: Any) -> None:
    """It has no dropout: that method alone is left out."""
    with pytest.raises(ModelError) as here:
        analysis(tiny.llama(), ("dropout_uncertainty",))
    with pytest.raises(ModelError) as there:
        analysis(tiny.llama(), ("dropout_uncertainty",), Counted(pool))
    assert str(there.value) == str(here.value)


def search(executor: Executor | None, kind: str) -> tuple[Any, ...]:
    model = tiny.llama(layers=6) if kind != "blocks" else tiny.bert(layers=6)
    data = tiny.windows(12, batch_size=2) if kind != "blocks" else tiny.random_batches(16, batch_size=2)
    units: LayeredModel = LayeredModel(model)
    groups, sizes = [frozenset({layer}) for layer in range(6)], [1] * 6
    if kind == "parts":
        units = SubLayers(model, data[0].rows(0, 1).inputs)
        groups, sizes = units.groups, [part.parameters for part in units.blocks]
    task = task_of(model)
    divergence = None
    if kind == "divergence":
        divergence = Coalitions(units, Divergence(task, model, data), data, executor=executor)
    distances = np.abs(np.subtract.outer(np.arange(7.0), np.arange(7.0)))
    similarity = Similarity(np.linspace(0, 1, 6), distances, distances)
    found = Search(
        Coalitions(units, task, data, executor=executor),
        groups,
        sizes,
        Published({"fisher": [3, 1, 0, 2, 5, 4]}, similarity, [float(layer) for layer in range(6)]),
        Budget(20, None),
        Progress(),
        "kl" if divergence else "loss",
        divergence,
    )
    found.begin()
    kept, seeds, exhaustive = found.best(3)
    losses = {tuple(sorted(each)): found.searched.mean_loss(each) for each in found.searched.known()}
    return sorted(kept), seeds, exhaustive, found.spent, losses


@pytest.mark.parametrize("kind", ["blocks", "parts", "divergence"])
def test_a_search_measures_and_chooses_the_same(kind: str, pool: Any) -> None:
    counted = Counted(pool)
    there = search(counted, kind)
    assert_alike(search(None, kind), there)
    assert counted.mapped > 20


def test_the_sets_of_one_batch_are_shared_out(pool: Any) -> None:
    counted = Counted(pool)
    model = tiny.bert()
    data = tiny.random_batches(4, batch_size=4)
    found = Coalitions(LayeredModel(model), task_of(model), data, executor=counted)
    sets = [found.everything - {layer} for layer in range(3)]
    assert found.rough(sets, [0]) == pytest.approx(
        Coalitions(LayeredModel(model), task_of(model), data).rough(sets, [0])
    )
    assert counted.mapped == pool.workers
