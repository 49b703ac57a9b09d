"""Data sets: labelled (or plain) texts from one source each.

A new source is one new file here: a function that reads, under `@source(...)`. References, the command line and the
list of data sets take it from the registry.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analyzers.errors import DataError
from analyzers.progress import Progress
from analyzers.references import DataReference


@dataclass(frozen=True)
class Example:
    text: str
    label: int | None  # index into `Dataset.labels`; None in a data set without labels
    group: str  # examples of one group are never divided between splits


@dataclass(frozen=True)
class Dataset:
    examples: tuple[Example, ...]
    labels: tuple[str, ...]  # names of the classes; () without labels
    name: str


Reader = Callable[[DataReference, Path, Progress, bool], Dataset]


@dataclass(frozen=True)
class Source:
    """Where data sets come from, and how their names are written."""

    kind: str  # the prefix of the reference
    form: str  # e.g. csv:PATH
    title: str
    options: tuple[str, ...]  # allowed after the question mark
    check: Callable[[str], str]  # the value of a reference, checked; raises UnknownData
    read: Reader


_SOURCES: dict[str, Source] = {}


def source(
    kind: str, *, form: str, title: str, check: Callable[[str], str], options: tuple[str, ...] = ()
) -> Callable[[Reader], Reader]:
    """Register the function below it as the reader of `kind:` references."""

    def register(read: Reader) -> Reader:
        _SOURCES[kind] = Source(kind, form, title, options, check, read)
        return read

    return register


@functools.cache
def _registered() -> tuple[Source, ...]:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return tuple(sorted(_SOURCES.values(), key=lambda each: (each.kind != "demo", each.kind)))


def sources() -> tuple[Source, ...]:
    """All sources, the demo sets first."""
    return _registered()


def load(reference: DataReference, cache: Path, progress: Progress, labelled: bool = True) -> Dataset:
    """Read a data set.

    Args:
        reference: what to read, from `parse_data`.
        cache: folder that all homes share; downloads are kept there.
        progress: told what was found and what was left out.
        labelled: False keeps every text, with label None, for language modelling.

    Raises:
        DataError: no rows, no text, one class, a broken file.
        NoLabels: labels were asked for and no column has them.
        UnknownColumn: a named column does not exist, or the column of the text is not plain.
        AssetUnavailable: a download did not arrive.
    """
    reader = next(each.read for each in sources() if each.kind == reference.kind)
    dataset = reader(reference, cache, progress, labelled)
    if not dataset.examples:
        raise DataError(f"{reference.text} has no rows with a text; give a data set with at least a few dozen")
    if labelled:
        present = {example.label for example in dataset.examples}
        if len(present) < 2:
            only = dataset.labels[0] if dataset.labels else "none"
            raise DataError(f"{reference.text} has one class only ({only!r}); a classifier needs two or more")
    return dataset
