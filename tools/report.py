"""Runs as one file that needs nothing else: a page with charts, Markdown with bars of text, or JSON."""

import json
from pathlib import Path

from analyzers.errors import UnknownRun, UsageError
from analyzers.records import Run, now
from knowledge.files import write_whole
from tools.rendering import rendered
from tools.report_content import Chart, Document, Facts, Section
from tools.workspace import Workspace

SUFFIXES = (".html", ".md", ".json")


def report(run_ids: list[str], out: Path, workspace: Workspace) -> Path:
    """Write a report about runs and everything that they came from.

    Raises:
        UsageError: the file has another ending than .html, .md or .json, or no run is named.
        UnknownRun: one of the runs does not exist.
        DamagedRecord: the record of one cannot be read.
        StorageError: the file cannot be written.
    """
    _check(out)
    found: dict[str, Run] = {run_id: workspace.runs.get(run_id) for run_id in run_ids}
    waiting = [parent for run in found.values() for parent in run.parents]
    while waiting:
        run_id = waiting.pop()
        if run_id not in found:
            try:
                found[run_id] = workspace.runs.get(run_id)
            except UnknownRun:
                continue  # deleted since; the report names it under its limits
            waiting += found[run_id].parents
    return write(list(found.values()), out)


def write(runs: list[Run], out: Path) -> Path:
    """Write a report about exactly these runs.

    Raises:
        UsageError: the file has another ending than .html, .md or .json, or there are no runs.
        StorageError: the file cannot be written.
    """
    _check(out)
    if not runs:
        raise UsageError("a report needs at least one run: layerwise report RUN --out report.html")
    ordered = sorted(runs, key=lambda run: run.created)
    match out.suffix.lower():
        case ".json":
            text = _json(ordered)
        case ".md":
            text = rendered("report.md.j2", document=document(ordered))
        case _:
            text = _page(document(ordered))
    write_whole(out, text.encode())
    return out


def document(runs: list[Run]) -> Document:
    """The content of a report, sections without content left out."""
    from tools import report_background as background
    from tools import report_sections as sections
    from tools import report_summary as summary

    how_sure = summary.certainty(runs)
    parts = [
        Section("certainty", "How sure is that?", [Facts(how_sure)] if how_sure else []),
        sections.training(runs),
        sections.scores(runs),
        sections.agreement(runs),
        sections.fidelity(runs),
        sections.plans(runs),
        sections.compressions(runs),
        sections.evaluations(runs),
        sections.exports(runs),
        background.limits(runs),
        background.commands(runs),
        background.settings(runs),
        background.environment(runs),
        background.checksums(runs),
    ]
    return Document(
        title=_title(runs),
        created=f"{now():%Y-%m-%d %H:%M} UTC",
        headline=summary.headline(runs),
        tiles=summary.tiles(runs),
        sections=[section for section in parts if section.blocks],
    )


def _check(out: Path) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"cannot write {out.name!r}: a report ends in .html, .md or .json")
    if out.is_dir():
        raise UsageError(f"{out} is a folder; name a file in it, such as {out / 'report.html'}")


def _title(runs: list[Run]) -> str:
    first = runs[0]
    return f"Layerwise: {first.model}" + (f" on {first.data}" if first.data else "")


def _json(runs: list[Run]) -> str:
    content = {
        "title": _title(runs),
        "created": f"{now():%Y-%m-%dT%H:%M:%SZ}",
        "runs": [run.model_dump(mode="json") for run in runs],
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _page(content: Document) -> str:
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    charts = [block for section in content.sections for block in section.blocks if isinstance(block, Chart)]
    drawn = {id(chart): Markup(_drawn(chart, number)) for number, chart in enumerate(charts)}
    return rendered("report.html.j2", document=content, drawn=drawn, plotly=Markup(get_plotlyjs()) if charts else "")


def _drawn(chart: Chart, number: int) -> str:
    return str(
        chart.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=f"chart-{number}",
            default_height=f"{chart.figure.layout.height}px",
            config={"displayModeBar": False, "responsive": True},
        )
    )
