"""Runs as one file that needs nothing else: a page with charts, the same as PDF, Markdown with pictures, or JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path

from analyzers.errors import DamagedRecord, StorageError, UnknownRun, UsageError
from analyzers.records import Run
from knowledge.files import write_whole
from tools.report.comparing import comparison_document
from tools.report.content import Document, Language, Narrative
from tools.report.document import document
from tools.report.file import as_json
from tools.report.markdown import write_markdown
from tools.report.page import page
from tools.workspace import Workspace

SUFFIXES = (".html", ".md", ".json", ".pdf")
Narrator = Callable[[Sequence[Run], Language], Narrative]


def report(
    run_ids: Sequence[str],
    out: Path,
    workspace: Workspace,
    *,
    language: Language = "en",
    compare: bool = False,
    narrator: Narrator | None = None,
) -> Path:
    """Write a report about runs and everything that they came from, or one that puts runs side by side.

    Args:
        run_ids: what it is about.
        out: the file; its ending says what is written.
        workspace: where the runs are.
        language: of the headings and the narrative.
        compare: put exactly these runs side by side, without what they came from.
        narrator: tells in words what was found; without one there are none.

    Raises:
        UsageError: the file has another ending than .html, .md, .json or .pdf, no run is named, or there are not two to
            compare.
        NoBrowser: a PDF was asked for and no Chromium is installed.
        UnknownRun: one of the runs does not exist.
        DamagedRecord: the record of one that was named cannot be read.
        StorageError: the file cannot be written; an earlier one is left as it was.
        LanguageModelError: the narrator's model cannot be reached.
    """
    _check(out)
    named = {run_id: workspace.runs.get(run_id) for run_id in run_ids}
    runs = list(named.values()) if compare else _with_ancestors(named, workspace)
    return write(runs, out, language=language, compare=compare, narrator=narrator)


def write(
    runs: Sequence[Run],
    out: Path,
    *,
    language: Language = "en",
    compare: bool = False,
    narrator: Narrator | None = None,
) -> Path:
    """Write a report about exactly these runs; see `report`."""
    _check(out)
    if not runs:
        raise UsageError("a report needs at least one run: layerwise report RUN --out report.html")
    # a comparison keeps the order in which the runs were named: differences are from the first
    ordered = list(runs) if compare else sorted(runs, key=lambda run: run.created)
    make = comparison_document if compare else document
    suffix = out.suffix.lower()
    told = narrator(ordered, language) if narrator else None
    content: Document = make(ordered, language, told, draws=suffix != ".json")
    match suffix:
        case ".json":
            write_whole(out, as_json(content, ordered, compare).encode())
        case ".md":
            write_markdown(content, out)
        case ".pdf":
            from tools.browser import printed

            write_whole(out, printed(page(content)))
        case _:
            write_whole(out, page(content).encode())
    return out


def _with_ancestors(named: dict[str, Run], workspace: Workspace) -> list[Run]:
    """The runs and what they came from. One that was deleted since, or is damaged, is named among the limits."""
    found = dict(named)
    waiting = [parent for run in named.values() for parent in run.parents]
    while waiting:
        run_id = waiting.pop()
        if run_id not in found:
            try:
                found[run_id] = workspace.runs.get(run_id)
            except (UnknownRun, DamagedRecord):
                continue
            waiting += found[run_id].parents
    return list(found.values())


def _check(out: Path) -> None:
    """What can be known before anything is computed."""
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"cannot write {out.name!r}: a report ends in .html, .md, .json or .pdf")
    if out.is_dir():
        raise UsageError(f"{out} is a folder; name a file in it, such as {out / 'report.html'}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise StorageError(f"cannot write {out}: {reason}; choose another place for --out") from problem
