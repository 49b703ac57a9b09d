"""The facts of a turn: every value in the results of its tools and in the records of the runs that they name.

A fact knows what it is about, and where it stands: `result.scores.fisher[3].value` of `analysis-k3v9qd`. Dates, ids and
checksums are texts, never numbers; a seed, a setting or a count supports only a number that it is named with.
"""

from typing import Literal, NamedTuple

from analyzers.records import Record

# Subjects that an answer has to name: what was considered, or measured on the way, and is not the result.
ASIDE = ("alternative", "curve", "epoch", "expected")
SMALL = ("compressed", "healed", "quantized", "exported")
MEASURED = {"fidelity", "tau", "kendall_w", "speedup", "disk_mb", "parameters", "latency_ms", "loss", "accuracy", "f1",
             "perplexity", "max_logit_difference", "steadiness"}  # fmt: skip


class Fact(Record):
    """One value, what it is about, and where it stands."""

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    name: str = ""  # accuracy, score, fidelity, rank, epochs, ...
    methods: tuple[str, ...] = ()  # one, or the two that a tau compares
    layer: int | None = None
    subject: str | None = None
    split: str | None = None
    ratio: bool = False  # of two models, as it was measured
    of: str = ""  # the measurement that a number of examples belongs to
    texts: int | None = None  # at once, of a measured time
    epoch: int | None = None
    removed: tuple[int, ...] | None = None  # the layers that the model it was measured with is without
    kept: int | None = None  # layers that it has left
    named: bool = False  # supports only a number that stands with its name
    run: str | None = None
    path: str = ""

    @property
    def stage(self) -> str | None:
        """What took the time."""
        if self.name != "seconds":
            return None
        return "healing" if ".healing" in self.path else self.run.partition("-")[0] if self.run else "all"


def record_of(fact: Fact) -> tuple[str | None, str]:
    """The run, and the place in it of what a fact is one number of."""
    return fact.run, fact.path.rpartition("]")[0]


class Layers(Record):
    """A list of layers, or the rank of each."""

    layers: tuple[int, ...]
    what: Literal["removed", "kept", "order", "ranks"]
    methods: tuple[str, ...] = ()  # none: of all of them, the consensus
    subject: str | None = None
    run: str | None = None
    path: str = ""


class Quote(Record):
    """A text with digits in it. Its numbers are facts only among the words around them."""

    text: str
    run: str | None = None
    path: str = ""


class Facts(NamedTuple):
    numbers: list[Fact]
    lists: list[Layers]
    quotes: list[Quote]
    sizes: list[tuple[float, int]]  # of each number its absolute value and its place, the smallest first
