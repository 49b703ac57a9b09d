"""All pictures of a run, of several and of a data set, in the order in which they are read."""

from collections.abc import Iterator
from dataclasses import dataclass

import plotly.graph_objects as go

from analyzers.datasets.preview import Preview
from analyzers.records import AnalysisResult, CompressionResult, Measurement, PlanResult, Run, TrainResult
from tools.figures.agreement import agreement_matrix, agreement_table
from tools.figures.before_after import before_after, before_after_table
from tools.figures.candidates import candidate_table, candidates
from tools.figures.data import class_balance, class_table, length_table, text_lengths
from tools.figures.deletion import deletion_curves, deletion_table
from tools.figures.frontier import frontier, frontier_table
from tools.figures.precisions import precision_table, precisions
from tools.figures.score_map import score_map
from tools.figures.scores import score_table, scores_with_intervals
from tools.figures.tower import tower, tower_table
from tools.figures.training import epoch_table, training_curve
from tools.figures.values import Values
from tools.wording import layers, title


@dataclass(frozen=True)
class Picture:
    """A figure, what it shows in a sentence (its text alternative), and the same values as a table."""

    name: str
    title: str
    about: str
    figure: go.Figure
    table: Values


def pictures(run: Run) -> list[Picture]:
    """What there is to see of a run; empty for one that has no result yet, or one that is told in a table alone."""
    match run.result:
        case TrainResult() as trained if trained.epochs:
            return [
                Picture(
                    "training",
                    "Training",
                    f"Loss and {title(trained.metric)} by epoch; epoch {trained.best_epoch} was kept.",
                    training_curve(trained.epochs, trained.best_epoch, trained.metric),
                    epoch_table(trained.epochs, trained.best_epoch, trained.metric),
                )
            ]
        case AnalysisResult() as analysis:
            return list(_of_analysis(analysis))
        case PlanResult() as plan:
            return list(_of_plan(plan))
        case CompressionResult() as compression:
            return list(_of_compression(run, compression))
    return []


def pictures_of_data(preview: Preview) -> list[Picture]:
    """The classes, where there are any, and the lengths of the texts."""
    found = []
    if preview.classes:
        found.append(
            Picture(
                "classes", "Classes", "How many examples each class has.", class_balance(preview), class_table(preview)
            )
        )
    about = f"Half of the {preview.examples:,} texts have at most {preview.lengths.median:,} characters."
    found.append(Picture("lengths", "Lengths of the texts", about, text_lengths(preview), length_table(preview)))
    return found


def pictures_of_several(runs: list[Run]) -> list[Picture]:
    """What several runs measured alike, side by side; empty where they share no quantity."""
    measured: dict[tuple[str, str, str | None], list[Measurement]] = {}
    for run in runs:
        for m in run.measurements:
            named = m.model_copy(update={"subject": f"{run.id} {m.subject}"})
            measured.setdefault((m.name, m.conditions, m.split), []).append(named)
    shared = [m for found in measured.values() if len({m.subject.split()[0] for m in found}) > 1 for m in found]
    if not shared:
        return []
    return [
        Picture(
            "compared",
            "Side by side",
            "What more than one of the runs measured, with 95 % intervals.",
            before_after(shared, most_columns=1),
            before_after_table(shared),
        )
    ]


def _of_analysis(result: AnalysisResult) -> Iterator[Picture]:
    if not result.scores:
        return
    table = score_table(result)
    yield Picture(
        "scores",
        "Score of each layer",
        "Each method in its own unit, with 95 % intervals. Higher means more important.",
        scores_with_intervals(result),
        table,
    )
    yield Picture(
        "score_map",
        "Rank of each layer",
        "Ranks instead of scores, since the units of the methods cannot be compared: 1 is the most important layer.",
        score_map(result),
        table,
    )
    if len(result.agreement.tau) > 1:
        agree = result.agreement.kendall_w
        whole = "" if agree is None else f" All together: Kendall's W = {agree:.2f}."
        yield Picture(
            "agreement",
            "Agreement of the methods",
            f"Kendall's τ between every two methods: 1 is the same order, 0 chance, −1 the reverse.{whole}",
            agreement_matrix(result),
            agreement_table(result),
        )
    if result.curves:
        believed = f" {title(result.believe)} comes nearest to greedy." if result.believe else ""
        yield Picture(
            "deletion",
            "Deletion curves",
            "What is lost while layers are removed in the order of each method, against random order and the greedy "
            f"oracle.{believed}",
            deletion_curves(result),
            deletion_table(result),
        )


def _of_plan(plan: PlanResult) -> Iterator[Picture]:
    yield Picture(
        "tower",
        "Which layers stay and which go",
        f"{len(plan.remove)} of {len(plan.layers)} go: {layers(plan.remove)}.",
        tower(plan.layers, plan.remove),
        tower_table(plan.layers, plan.remove),
    )
    if plan.frontier:
        yield Picture(
            "frontier",
            "Quality against size",
            "The best set that was found for each number of layers, with the plan (star) and what the methods and "
            "baselines would remove (diamonds).",
            frontier(plan),
            frontier_table(plan),
        )
    if plan.candidates:
        yield Picture(
            "candidates",
            "The plan and every baseline",
            "Sets of the size of the plan on the select split, with 95 % intervals.",
            candidates(plan),
            candidate_table(plan),
        )
    if plan.precisions:
        yield Picture(
            "precisions",
            "Quality against size on disk",
            "Depth × precision; empty marks: another point is at least as good in quality, size and latency.",
            precisions(plan),
            precision_table(plan),
        )


def _of_compression(run: Run, result: CompressionResult) -> Iterator[Picture]:
    if run.measurements:
        yield Picture(
            "before_after",
            "Before and after",
            f"Everything that was measured, with 95 % intervals; layers {layers(result.removed)} are removed.",
            before_after(run.measurements),
            before_after_table(run.measurements),
        )
    if (healing := result.healing) and healing.epochs:
        yield Picture(
            "healing",
            "Healing",
            f"Loss and {title(result.metric)} by epoch; "
            + (f"epoch {healing.best_epoch} was kept." if healing.best_epoch else "the model before healing was kept."),
            training_curve(healing.epochs, healing.best_epoch, result.metric),
            epoch_table(healing.epochs, healing.best_epoch, result.metric),
        )
