"""The list of importance methods. A new one is a new file in this folder with a function under `@importance_method`."""

import functools
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzers.errors import UnknownMethod
from analyzers.records import LayerScore
from analyzers.sweep import Reducer
from analyzers.work import Work

if TYPE_CHECKING:  # the engine is made of what methods share; they import it, the list does not
    from analyzers.importance.engine import Engine

Score = Callable[["Engine"], list[LayerScore]]


@dataclass(frozen=True)
class Method:
    id: str
    title: str
    unit: str
    cost: str
    source: str
    summary: str  # first line of the docstring
    score: Score
    main: bool  # one of the six that an analysis uses where none are named
    reducers: tuple[type[Reducer], ...]  # what it keeps of the forward sweep that all methods share
    gradients: bool  # whether it reads the sweep of per-example gradients that all methods share
    sets: bool  # whether it measures sets of layers, which methods share
    early: bool  # scored before others: it measures so many sets of layers that theirs are often among them
    work: "Callable[[Engine], Work]"  # what it asks of the model beside these sweeps

    @property
    def alone(self) -> bool:
        """Whether another process can compute it without passes that other methods need too, but for one forward sweep."""
        return not (self.gradients or self.sets)


_METHODS: dict[str, Method] = {}


def importance_method(
    id: str,
    *,
    title: str,
    unit: str,
    cost: str,
    source: str,
    main: bool = False,
    reducers: tuple[type[Reducer], ...] = (),
    gradients: bool = False,
    sets: bool = False,
    early: bool = False,
    work: "Callable[[Engine], Work]" = lambda engine: Work(),  # noqa: ARG005
) -> Callable[[Score], Score]:
    """Register the function below it as an importance method. Higher scores mean more important.

    `work` is for the time and memory that are told before an analysis starts; without it the method counts as free.
    A package of its own adds methods by an entry point in the group `layerwise.importance` that names a module with them.
    """

    def register(score: Score) -> Score:
        summary = (score.__doc__ or "").strip().splitlines()[0]
        _METHODS[id] = Method(
            id, title, unit, cost, source, summary, score, main, reducers, gradients, sets, early, work
        )
        return score

    return register


@functools.cache
def methods() -> tuple[Method, ...]:
    """All importance methods, by name."""
    package = importlib.import_module("analyzers.importance")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    for point in importlib.metadata.entry_points(group="layerwise.importance"):
        point.load()
    return tuple(_METHODS[id] for id in sorted(_METHODS))


def choose(names: tuple[str, ...]) -> tuple[Method, ...]:
    """The methods of these names, in this order; `all` stands for every one, `main` for the six of the study.

    Raises:
        UnknownMethod: a name that no method has, or there is no name.
    """
    known = {method.id: method for method in methods()}
    if not names:
        raise UnknownMethod(f"no importance method was named; there are: {', '.join(known)}, main or all")
    if "all" in names:
        return methods()
    main = [method.id for method in methods() if method.main]
    wanted = [each for name in names for each in (main if name == "main" else [name])]
    for name in wanted:
        if name not in known:
            raise UnknownMethod(f"no importance method {name!r}; there are: {', '.join(known)}, main or all")
    return tuple(known[name] for name in dict.fromkeys(wanted))
