"""`layerwise runs …`: everything that was done, found again."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import click

from agent.cli_options import common
from agent.cli_outcome import Session, show, show_json
from analyzers.records import Kind, Status


@click.group()
def runs() -> None:
    """Everything that was done: list, show, search, compare, label, delete, export, import."""


class _Moment(click.ParamType):
    """A time as `knowledge.filters.moment` reads it."""

    name = "time"

    def __init__(self, end: bool = False) -> None:
        self._end = end

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ARG002
        from knowledge.filters import moment

        return value if isinstance(value, datetime) else moment(value, end=self._end)


def _filters(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--pinned", is_flag=True, default=None, help="Only runs that are pinned."),
        click.option("--tag", "tags", metavar="TAG", multiple=True, help="Only runs with this tag; repeat it for more."),
        click.option(
            "--where", metavar="RANGE", multiple=True, help='What was measured: "accuracy>=0.85", "latency_ms<20"; repeat it.'
        ),
        click.option("--until", type=_Moment(end=True), metavar="TIME", help="Not after: as --since; a day counts whole."),
        click.option("--since", type=_Moment(), metavar="TIME", help="Not before: 2026-11-20, yesterday, 12h, 7d, 2w (UTC)."),
        click.option("--data", metavar="DATA", help="Only runs of this data."),
        click.option("--model", metavar="MODEL", help="Only runs of this model."),
        click.option("--status", type=click.Choice(get_args(Status)), help="Only runs of this status."),
        click.option("--kind", type=click.Choice(get_args(Kind)), help="Only runs of this kind."),
    ):  # fmt: skip
        command = option(command)
    return command


@runs.command("list")
@_filters
@click.option(
    "--best", metavar="MEASUREMENT", help="Not the newest, but those that do best in it: accuracy, latency_ms."
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest first.")
@common
def list_runs(session: Session, limit: int, best: str | None, **filters: Any) -> None:
    """List the newest runs, or the best."""
    session.settle()
    store = session.workspace.runs
    found = store.list(**filters, limit=limit, best=best)
    if session.as_json:
        return show_json([run.model_dump(mode="json") for run in found])
    from agent.histories import listing

    unreadable = store.unreadable() if not any(filters.values()) else {}
    return show(listing(found, labels=store.labels_of(found), unreadable=unreadable, filtered=any(filters.values())))


@runs.command("show")
@click.argument("run_id", metavar="ID")
@common
def show_run(session: Session, run_id: str) -> None:
    """Show one run, what it came from and what came from it."""
    session.settle()
    store = session.workspace.runs
    run = store.get(run_id)
    if session.as_json:
        return show(run.model_dump_json(indent=1))
    from agent.histories import about
    from agent.summaries import summary

    labels = store.labels_of([run]).get(run.id)
    lines = [summary(run), *about(store.lineage(run.id), labels), f"folder  {store.folder(run.id)}"]
    return show("\n".join(lines))


@runs.command()
@click.argument("text")
@_filters
@click.option("--limit", type=click.IntRange(min=1), default=5, show_default=True, help="How many, the best first.")
@common
def search(session: Session, text: str, limit: int, **filters: Any) -> None:
    """Find runs by meaning, and by field."""
    store = session.workspace.runs
    with session.working():
        hits = store.search(text, **filters, limit=limit)
    if session.as_json:
        return show_json([{"score": hit.score, "run": hit.run.model_dump(mode="json")} for hit in hits])
    from agent.histories import listing

    found = [hit.run for hit in hits]
    scores = [hit.score for hit in hits]
    return show(listing(found, scores, labels=store.labels_of(found), filtered=any(filters.values())))


@runs.command()
@click.argument("run_ids", metavar="ID ID...", nargs=-1, required=True)
@common
def compare(session: Session, run_ids: tuple[str, ...]) -> None:
    """Put runs side by side: settings, measurements and whether they differ by more than chance, ranks."""
    from knowledge.comparison import compare as compared

    found = compared([session.workspace.runs.get(run_id) for run_id in run_ids])
    if session.as_json:
        return show(found.model_dump_json(indent=1))
    from agent.histories import side_by_side

    return show(side_by_side(found))


@runs.command()
@click.argument("run_id", metavar="ID")
@common
def lineage(session: Session, run_id: str) -> None:
    """Show what a run came from and what came from it, as a tree."""
    store = session.workspace.runs
    found = store.lineage(run_id)
    if session.as_json:
        return show(found.model_dump_json(indent=1))
    from agent.histories import tree

    return show(tree(found, store))


@runs.command()
@click.argument("run_id", metavar="ID")
@click.argument("names", metavar="NAME...", nargs=-1)
@click.option("--remove", is_flag=True, help="Take these tags off instead.")
@common
def tag(session: Session, run_id: str, names: tuple[str, ...], remove: bool) -> None:
    """Give a run tags by which it is found again; without a NAME, show them."""
    store = session.workspace.runs
    _labels(session, run_id, store.tag(run_id, names, remove=remove) if names else store.labels(run_id))


@runs.command()
@click.argument("run_id", metavar="ID")
@click.argument("text")
@common
def note(session: Session, run_id: str, text: str) -> None:
    """Write a note to a run; it is searched too."""
    _labels(session, run_id, session.workspace.runs.note(run_id, text))


@runs.command()
@click.argument("run_id", metavar="ID")
@click.option("--remove", is_flag=True, help="Pin it no longer.")
@common
def pin(session: Session, run_id: str, remove: bool) -> None:
    """Keep a run safe from deletion."""
    _labels(session, run_id, session.workspace.runs.pin(run_id, not remove))


def _labels(session: Session, run_id: str, found: Any) -> None:
    if session.as_json:
        return show_json({"run": run_id, **found.model_dump(mode="json")})
    from agent.histories import labelled

    return show("\n".join([run_id, *labelled(found)]))


@runs.command()
@click.argument("run_id", metavar="ID")
@click.option("--with-dependants", is_flag=True, help="Delete what was made from it too.")
@click.option("--force", is_flag=True, help="Even if other runs were made from it; they stay.")
@common
def delete(session: Session, run_id: str, force: bool, with_dependants: bool) -> None:
    """Delete a run and its artifacts; one that is pinned is not deleted."""
    with session.working():
        gone = session.workspace.runs.delete(run_id, force=force, with_dependants=with_dependants)
    if session.as_json:
        return show_json({"deleted": run_id} if gone == [run_id] else {"deleted": run_id, "with": gone[:-1]})
    return show(f"deleted {', '.join(gone)}")


@runs.command("export")
@click.argument("run_id", metavar="ID")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@common
def export_run(session: Session, run_id: str, file: Path) -> None:
    """Pack a run, its labels, its artifacts and their checksums into a zip FILE."""
    path = session.workspace.runs.export(run_id, file)
    show_json({"exported": run_id, "path": str(path)}) if session.as_json else show(f"wrote {path}")


@runs.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@common
def import_run(session: Session, file: Path) -> None:
    """Take in a run from a FILE that `runs export` wrote, whole or not at all."""
    run = session.workspace.runs.import_archive(file)
    if session.as_json:
        return show_json({"imported": run.id})
    return show(f"imported {run.id}; look at it: layerwise runs show {run.id}")


@runs.command()
@common
def reindex(session: Session) -> None:
    """Build the catalogue and the search index again from the records."""
    with session.working():
        count = session.workspace.runs.reindex()
    show_json({"indexed": count}) if session.as_json else show(f"indexed {count} runs")
