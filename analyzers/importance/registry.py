"""The list of importance methods. A new one is a new file in this folder with a function under `@importance_method`."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyzers.errors import UnknownMethod
from analyzers.records import LayerScore

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


_METHODS: dict[str, Method] = {}


def importance_method(id: str, *, title: str, unit: str, cost: str, source: str) -> Callable[[Score], Score]:
    """Register the function below it as an importance method. Higher scores mean more important."""

    def register(score: Score) -> Score:
        summary = (score.__doc__ or "").strip().splitlines()[0]
        _METHODS[id] = Method(id=id, title=title, unit=unit, cost=cost, source=source, summary=summary, score=score)
        return score

    return register


@functools.cache
def methods() -> tuple[Method, ...]:
    """All importance methods, by name."""
    package = importlib.import_module("analyzers.importance")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return tuple(_METHODS[id] for id in sorted(_METHODS))


def choose(names: tuple[str, ...]) -> tuple[Method, ...]:
    """The methods of these names, in this order; `all` stands for every one.

    Raises:
        UnknownMethod: a name that no method has.
    """
    known = {method.id: method for method in methods()}
    if "all" in names:
        return methods()
    for name in names:
        if name not in known:
            raise UnknownMethod(f"no importance method {name!r}; there are: {', '.join(known)}, or all")
    return tuple(known[name] for name in dict.fromkeys(names))
