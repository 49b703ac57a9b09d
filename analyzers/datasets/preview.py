"""What is in a data set, before anything is computed with it."""

from collections import Counter
from pathlib import Path

import numpy as np

from analyzers.datasets import Dataset, load
from analyzers.datasets.splits import same_text, split
from analyzers.errors import DataError, NoLabels
from analyzers.progress import Progress
from analyzers.records import Record
from analyzers.references import parse_data

FIRST = 10  # rows that are shown
BINS = 30


class ClassCount(Record):
    label: str
    examples: int


class Row(Record):
    text: str
    label: str  # empty in a data set without labels


class Lengths(Record):
    """Characters of the texts: words would mean nothing in Chinese."""

    least: int
    median: int
    most_of_them: int  # 95 % are not longer
    longest: int
    edges: list[float]  # of the bins, from 0 to `most_of_them`; one more than there are bins
    counts: list[int]
    longer: int  # texts beyond the last edge


class Preview(Record):
    """A data set at a glance."""

    data: str
    examples: int
    classes: list[ClassCount]  # none in a data set without labels
    lengths: Lengths
    repeated: int  # examples whose text stands in an earlier one
    groups: int  # examples of one group are never divided between splits
    splits: dict[str, int]  # of seed 0; none where there is too little for three
    notes: list[str]  # what reading it had to say
    first: list[Row]


class _Heard(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def say(self, text: str) -> None:
        self.notes.append(text)


def preview(data: str, cache: Path) -> Preview:
    """Read a data set, with its labels where it has any.

    Raises:
        UnknownData, UnknownColumn, DataError, AssetUnavailable: as for `parse_data` and `datasets.load`.
    """
    reference, heard = parse_data(data), _Heard()
    try:
        dataset = load(reference, cache, heard)
    except NoLabels as problem:
        heard.notes.append(str(problem))
        dataset = load(reference, cache, heard, labelled=False)
    return look_at(dataset, heard.notes)


def look_at(dataset: Dataset, notes: list[str]) -> Preview:
    """The preview of a data set that was read."""
    labels = Counter(example.label for example in dataset.examples)
    try:
        splits = {name: found.n for name, found in split(dataset, 0).fingerprints.items()}
    except DataError as problem:
        splits, notes = {}, [*notes, str(problem)]
    return Preview(
        data=dataset.name,
        examples=len(dataset.examples),
        classes=[ClassCount(label=name, examples=labels[place]) for place, name in enumerate(dataset.labels)],
        lengths=_lengths(dataset),
        repeated=len(dataset.examples) - len({same_text(example) for example in dataset.examples}),
        groups=len({example.group for example in dataset.examples}),
        splits=splits,
        notes=notes,
        first=[
            Row(text=each.text, label="" if each.label is None else dataset.labels[each.label])
            for each in dataset.examples[:FIRST]
        ],
    )


def _lengths(dataset: Dataset) -> Lengths:
    characters = np.array([len(example.text) for example in dataset.examples])
    most = int(np.percentile(characters, 95, method="higher"))
    counts, edges = np.histogram(characters, bins=min(BINS, max(1, most)), range=(0, max(1, most)))
    return Lengths(
        least=int(characters.min()),
        median=int(np.percentile(characters, 50, method="lower")),
        most_of_them=most,
        longest=int(characters.max()),
        edges=[float(edge) for edge in edges],
        counts=[int(count) for count in counts],
        longer=int((characters > most).sum()),
    )
