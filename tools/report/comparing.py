"""A report that puts runs side by side."""

from collections.abc import Sequence

from analyzers.records import AnalysisResult, Run
from knowledge.comparison import Comparison, compare
from tools import figures
from tools.differences import apart, explained
from tools.report.content import Block, Chart, Document, Fact, Facts, Language, Narrative, Section, Table
from tools.report.document import assembled, closing
from tools.wording import title, with_interval


def comparison_document(
    runs: Sequence[Run], language: Language = "en", narrative: Narrative | None = None, *, draws: bool = True
) -> Document:
    """What differs between runs, in their order: settings, measurements and whether they differ by more than chance, ranks.

    Raises:
        UsageError: fewer than two runs, or one named twice.
    """
    found = compare(list(runs))
    parts = [_settings(found), _measured(found, draws), _ranks(found, runs, draws), *closing(list(runs))]
    heading = f"Layerwise: {', '.join(found.runs)}"
    return assembled(heading, headline(found), [], parts, language, narrative)


def headline(found: Comparison) -> str:
    """How many of the differences are more than chance, and which."""
    apart_from_chance = [
        f"{title(row.name)} of {row.subject}"
        for row in found.measurements
        if any(each and each.beyond_chance for each in row.differences)
    ]
    tested = sum(any(row.differences) for row in found.measurements)
    if not tested:
        return f"{len(found.runs)} runs side by side; they measured nothing with an interval that both have."
    if not apart_from_chance:
        return f"{len(found.runs)} runs side by side: none of {tested} quantities differs by more than chance."
    named = ", ".join(dict.fromkeys(apart_from_chance))
    return (
        f"{len(found.runs)} runs side by side: {len(apart_from_chance)} of {tested} quantities differ by more than chance: "
        f"{named}."
    )


def _settings(found: Comparison) -> Section:
    blocks: list[Block] = [Facts([Fact(f"Caution: {text}.") for text in found.cautions])] if found.cautions else []
    if found.settings:
        rows = [[row.name, *map(_cell, row.values)] for row in found.settings]
        blocks.append(Table(["differs", *found.runs], rows))
    else:
        blocks.append(Facts([Fact("All settings are the same.")]))
    return Section("differences", blocks)


def _measured(found: Comparison, draws: bool) -> Section:
    two = len(found.runs) == 2
    rows = []
    for row in found.measurements:
        cells = [with_interval(value) if value else "-" for value in row.values]
        if two:
            cells += [apart(row, row.differences[1]), row.verdict or "-"]
        else:
            marks = [" *" if each and each.beyond_chance else "" for each in row.differences]
            cells = [cell + mark for cell, mark in zip(cells, marks, strict=True)]
        rows.append([" ".join(filter(None, (title(row.name), row.subject, row.split, row.conditions))), *cells])
    if not rows:
        return Section("measured", [])
    blocks: list[Block] = []
    if draws and any(any(row.differences) for row in found.measurements):
        about = (
            "Differences with 95 % intervals. A full mark is more than chance; the interval of an empty one holds zero."
        )
        blocks.append(Chart("differences", "How far apart", figures.differences(found.measurements, found.runs), about))
    header = ["measured", *found.runs, *(["second minus first", "verdict"] if two else [])]
    blocks.append(Table(header, rows))
    if differences := [each for row in found.measurements for each in row.differences if each]:
        blocks.append(Facts([Fact(f"{line[0].upper()}{line[1:]}.") for line in explained(differences, two)]))
    return Section("measured", blocks)


def _ranks(found: Comparison, runs: Sequence[Run], draws: bool) -> Section:
    stacks = [[layer.index for layer in run.result.layers] for run in runs if isinstance(run.result, AnalysisResult)]
    if not found.ranks or not stacks:
        return Section("ranks", [])
    layers = max(stacks, key=len)
    rows = [
        [title(row.method), run, *map(str, order), *[""] * (len(layers) - len(order))]
        for row in found.ranks
        for run, order in zip(found.runs, row.ranks, strict=True)
        if order
    ]
    about = "Rank of each layer by each method and run: 1 is the most important. Rows of one method belong together."
    blocks: list[Block] = []
    if draws:
        blocks.append(Chart("ranks", "Ranks", figures.compared_ranks(found.ranks, found.runs, layers), about))
    return Section("ranks", [*blocks, Table(["method", "run", *map(str, layers)], rows, caption="Rank of each layer")])


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)
