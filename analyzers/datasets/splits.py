"""Three disjoint splits: train to fit and to calibrate, select to choose, test for the number that is reported."""

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from analyzers.datasets import Dataset, Example
from analyzers.errors import DataError
from analyzers.records import Lengths, Split, SplitName

SHARES: dict[SplitName, float] = {"train": 0.70, "select": 0.15, "test": 0.15}


@dataclass(frozen=True)
class Splits:
    train: tuple[Example, ...]
    select: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]
    fingerprints: dict[str, Split]  # by the name of the split


def split(dataset: Dataset, seed: int) -> Splits:
    """Divide a data set by groups, about 70 : 15 : 15 in each class, the same in every process.

    A text that is also in an earlier split (train, select, test in this order) is left out of the later one, whatever
    its group, so no test text was ever seen. Within a split, examples stay in the order of the data set.

    Raises:
        DataError: fewer than three groups, or a split that would be empty.
    """
    groups: dict[str, list[Example]] = {}
    for example in dataset.examples:
        groups.setdefault(example.group, []).append(example)
    if len(groups) < len(SHARES):
        raise DataError(
            f"{dataset.name} has {len(groups)} groups of examples, and three splits need at least three; "
            "give more data, or another group column"
        )
    placed = _place(groups, seed)
    parts: dict[SplitName, tuple[Example, ...]] = {}
    seen: set[str] = set()
    for name in SHARES:
        own = [example for example in dataset.examples if placed[example.group] == name]
        parts[name] = tuple(example for example in own if same_text(example) not in seen)
        seen.update(same_text(example) for example in own)
        if not parts[name]:
            raise DataError(f"the {name} split of {dataset.name} is empty: too few different texts; give more data")
    return Splits(
        **parts,
        labels=dataset.labels,
        fingerprints={name: profile(part, dataset.labels) for name, part in parts.items()},
    )


def profile(examples: Sequence[Example], labels: Sequence[str]) -> Split:
    """How many examples, of which classes, how long, and which: all that a record keeps of a split."""
    lengths = sorted(len(example.text) for example in examples)
    counted = Counter(example.label for example in examples)
    return Split(
        n=len(examples),
        sha256=fingerprint(examples),
        classes={name: counted[label] for label, name in enumerate(labels) if counted[label]},
        lengths=Lengths(
            shortest=lengths[0],
            median=median(lengths),
            most=float(lengths[math.ceil(0.95 * len(lengths)) - 1]),
            longest=lengths[-1],
        ),
    )


def fingerprint(examples: Iterable[Example]) -> str:
    """SHA-256 over the examples in their order."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([example.text, example.label, example.group]).encode() + b"\n")
    return digest.hexdigest()


def _place(groups: dict[str, list[Example]], seed: int) -> dict[str, SplitName]:
    """Each group, in random order, goes where its classes are most wanting."""
    wanted = Counter(example.label for group in groups.values() for example in group)
    have: dict[SplitName, Counter[int | None]] = {name: Counter() for name in SHARES}
    order = list(groups)
    random.Random(seed).shuffle(order)
    placed: dict[str, SplitName] = {}
    for group in order:
        counts = Counter(example.label for example in groups[group])

        def want(name: SplitName, counts: Counter[int | None] = counts) -> float:
            share = SHARES[name]
            return sum(n * (1 - have[name][label] / (share * wanted[label])) for label, n in counts.items())

        placed[group] = max(SHARES, key=want)
        have[placed[group]].update(counts)
    return placed


def same_text(example: Example) -> str:
    """What two examples have in common that are the same text."""
    return " ".join(example.text.lower().split())
