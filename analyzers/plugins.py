"""Folders in which each file is one strategy, precision or format, found by its name."""

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

from analyzers.errors import LayerwiseError


def names_in(package: ModuleType) -> list[str]:
    """All there are, in alphabetical order, without loading what they need."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find_in(package: ModuleType, name: str, unknown: Callable[[list[str]], LayerwiseError]) -> Any:
    """The module of that name, which has the names of the package's contract.

    Args:
        package: the folder.
        name: of the file, without its end.
        unknown: makes the error of a name that is not there, from those that are.

    Raises:
        what `unknown` made: there is none.
    """
    if name not in names_in(package):
        raise unknown(names_in(package))
    return importlib.import_module(f"{package.__name__}.{name}")
