"""Many runs as lines of text on a terminal: lists, comparisons, lineage, labels."""

from collections.abc import Iterator

from agent.summaries import gist, table
from analyzers.errors import LayerwiseError
from analyzers.records import Run
from knowledge.comparison import Comparison
from knowledge.labels import Labels
from knowledge.lineage import Lineage
from knowledge.runs import RunStore
from tools.differences import apart, explained
from tools.wording import duration, title, with_interval

LISTED = ["id", "status", "when (UTC)", "took", "model", "data", "result"]
Table = tuple[list[str], list[list[str]]]  # header, rows


def listing(
    runs: list[Run],
    scores: list[float] | None = None,
    labels: dict[str, Labels] | None = None,
    unreadable: dict[str, str] | None = None,
    filtered: bool = False,
) -> str:
    """One line a run."""
    broken = [f"{run}  unreadable: {why}" for run, why in (unreadable or {}).items()]
    if not runs and not broken:
        return "no run fits" if filtered else "no runs; make one with: layerwise train demo:minilm demo:amazon"
    header = [*LISTED, *(["labels"] if labels else [])]
    rows = [[*line_of(run), *([short(labels.get(run.id))] if labels else [])] for run in runs]
    if scores is not None:
        header = ["score", *header]
        rows = [[f"{score:.2f}", *row] for score, row in zip(scores, rows, strict=True)]
    return "\n".join(([table(header, rows)] if runs else []) + broken)


def line_of(run: Run) -> list[str]:
    """One run in a list, under the header `LISTED`."""
    when = f"{run.created:%Y-%m-%d %H:%M}"
    return [run.id, run.status, when, duration(run.seconds), run.model, run.data or "", gist(run)]


def short(labels: Labels | None) -> str:
    """Pin and tags in one cell."""
    return " ".join([*(["pinned"] if labels.pinned else []), *(f"#{each}" for each in labels.tags)]) if labels else ""


def labelled(labels: Labels) -> list[str]:
    """Tags, pin and notes, a line each."""
    lines = [f"tags    {', '.join(labels.tags)}"] if labels.tags else []
    lines += ["pinned  it is not deleted until: layerwise runs pin ID --remove"] if labels.pinned else []
    return lines + [f"note    {each.created:%Y-%m-%d %H:%M}  {each.text}" for each in labels.notes]


def about(lineage: Lineage, labels: Labels | None) -> list[str]:
    """What a run came from, what came from it, and what was said of it."""
    lines = [f"from    {', '.join(lineage.parents)}"] if lineage.parents else []
    lines += [f"into    {', '.join(lineage.children)}"] if lineage.children else []
    return lines + (labelled(labels) if labels else [])


def tree(lineage: Lineage, store: RunStore) -> str:
    """The lineage with one run a line, each under what it was made from."""
    shown: set[str] = set()
    return "\n".join(line for root in lineage.roots() for line in _branch(root, lineage, store, 0, shown))


def _branch(run_id: str, lineage: Lineage, store: RunStore, depth: int, shown: set[str]) -> Iterator[str]:
    here = "   <- this one" if run_id == lineage.run else ""
    if run_id in shown:
        yield f"{'  ' * depth}{run_id}  (see above)"
        return
    shown.add(run_id)
    try:
        run = store.get(run_id)
        what = "  ".join(part for part in (run.status, f"{run.created:%Y-%m-%d %H:%M}", run.model, gist(run)) if part)
    except LayerwiseError as problem:  # deleted, or not readable: its place in the tree stays
        what = "not here" if type(problem).__name__ == "UnknownRun" else "unreadable"
    yield f"{'  ' * depth}{run_id}  {what}{here}"
    for child in lineage.links.get(run_id, []):
        yield from _branch(child, lineage, store, depth + 1, shown)


def side_by_side(comparison: Comparison) -> str:
    """A comparison as tables."""
    return "\n\n".join(part if isinstance(part, str) else table(*part) for part in compared(comparison))


def compared(comparison: Comparison) -> list[str | Table]:
    """A comparison in parts: sentences, and tables of a header and rows."""
    parts: list[str | Table] = [f"caution: {text}" for text in comparison.cautions]
    if comparison.settings:
        rows = [[row.name, *(_cell(value) for value in row.values)] for row in comparison.settings]
        parts.append((["differs", *comparison.runs], rows))
    else:
        parts.append("the settings are the same")
    if comparison.measurements:
        parts += _measured(comparison)
    if comparison.ranks:
        rows = [
            [title(row.method), *(" ".join(map(str, order)) if order else "-" for order in row.ranks)]
            for row in comparison.ranks
        ]
        parts.append((["rank of layers 0, 1, ...", *comparison.runs], rows))
    return parts


def _measured(comparison: Comparison) -> list[str | Table]:
    two = len(comparison.runs) == 2
    header = ["measured", *comparison.runs] + (["difference", "verdict"] if two else [])
    rows = []
    for row in comparison.measurements:
        name = " ".join(part for part in (title(row.name), row.subject, row.split, row.conditions) if part)
        cells = [with_interval(value) if value else "-" for value in row.values]
        if two:
            cells += [apart(row, row.differences[1]), row.verdict or "-"]
        else:
            cells = [
                cell + (" *" if found and found.beyond_chance else "")
                for cell, found in zip(cells, row.differences, strict=True)
            ]
        rows.append([name, *cells])
    parts: list[str | Table] = [(header, rows)]
    differences = [each for row in comparison.measurements for each in row.differences if each]
    if differences:
        parts.append("\n".join(explained(differences, two)))
    return parts


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
