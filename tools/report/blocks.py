"""Blocks that several sections of a report have."""

from collections.abc import Sequence

from analyzers.records import HealingEpoch, Outcome, Run, TrainEpoch
from knowledge.notes import names as note_names
from knowledge.notes import note
from tools import figures
from tools.report.content import Block, Chart, Explanation, Table
from tools.wording import cells, significant, title, with_interval


class Gallery:
    """The pictures of the runs of one report; those of a run are drawn once.

    Args:
        draws: False for a report that shows none.
    """

    def __init__(self, draws: bool = True) -> None:
        self._draws = draws
        self._drawn: dict[str, list[figures.Picture]] = {}

    def chart(self, run: Run, name: str) -> list[Block]:
        """The picture of that name, if the run has it."""
        if not self._draws:
            return []
        if run.id not in self._drawn:
            self._drawn[run.id] = figures.pictures(run)
        found = [each for each in self._drawn[run.id] if each.name == name]
        return [Chart(each.name, each.title, each.figure, each.about, run.id) for each in found]


def measured(run: Run, caption: str) -> Table:
    """All measurements of a run."""
    rows = [cells(each) for each in run.measurements]
    return Table(["measured", "subject", "split", "value (95 % interval)", "n"], rows, run.id, caption)


def epochs(run: Run, found: Sequence[TrainEpoch | HealingEpoch], best: int, metric: str) -> Table:
    """Training or healing, the epoch that was kept marked."""
    rows = [[str(e.epoch), significant(e.train_loss), *outcome(metric, e.select)] for e in found]
    marked = next((number for number, epoch in enumerate(found) if epoch.epoch == best), None)
    return Table(["epoch", "train loss", f"{title(metric)} on select", "loss on select"], rows, run.id, marked=marked)


def outcome(metric: str, found: Outcome | None) -> list[str]:
    """Two cells: the metric with its interval, and the loss."""
    return [with_interval(found.metric, metric), significant(found.loss.value)] if found else ["", ""]


def explained(names: list[str]) -> list[Block]:
    """What the methods mean, from the notes."""
    return [
        Explanation(note(name).title, note(name).text, list(note(name).sources))
        for name in names
        if name in note_names()
    ]
