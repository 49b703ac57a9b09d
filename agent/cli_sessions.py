"""`layerwise sessions`: the conversations of a home. They are continued with `layerwise chat --session ID`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.cli_options import common
from agent.cli_outcome import Session, show, show_json

if TYPE_CHECKING:
    from agent.sessions import Session as Conversation
    from agent.sessions import Sessions


@click.group()
def sessions() -> None:
    """Conversations: list, search, show, rename, delete, export; go on with: layerwise chat --session ID."""


@contextmanager
def _opened(session: Session) -> Iterator["Sessions"]:
    with session.working():
        from agent.sessions import Sessions

        opened = Sessions(session.workspace)
        try:
            yield opened
        finally:
            opened.close()


def _table(found: list["Conversation"], excerpts: list[str] | None = None) -> str:
    from agent.summaries import table

    if not found:
        return "no conversations; begin one with: layerwise chat"
    columns = ["id", "last", "messages", "title", *(["found"] if excerpts else [])]
    rows = [[each.id, f"{each.updated:%Y-%m-%d %H:%M}", str(each.messages), each.title] for each in found]
    return table(columns, [[*row, *excerpts[place : place + 1]] if excerpts else row for place, row in enumerate(rows)])


@sessions.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many, the newest first.")
@common
def list_sessions(session: Session, limit: int) -> None:
    """List the newest conversations."""
    with _opened(session) as kept:
        found = kept.all(limit)
    show_json([each.model_dump(mode="json") for each in found]) if session.as_json else show(_table(found))


@sessions.command()
@click.argument("text")
@click.option("--limit", type=click.IntRange(min=1), default=10, show_default=True, help="How many, the newest first.")
@common
def search(session: Session, text: str, limit: int) -> None:
    """Find conversations in which all words of TEXT were said."""
    with _opened(session) as kept:
        found = kept.search(text, limit)
    if session.as_json:
        return show_json([each.model_dump(mode="json") for each in found])
    return show(_table([each.session for each in found], [each.excerpt for each in found]))


@sessions.command("show")
@click.argument("name", metavar="ID")
@common
def show_session(session: Session, name: str) -> None:
    """Show what was said in a conversation."""
    with _opened(session) as kept:
        found = kept.get(name)
    if session.as_json:
        return show(found.model_dump_json(indent=1))
    said = "\n\n".join(f"  {line.text}" if line.who == "step" else f"{line.who}: {line.text}" for line in found.lines)
    return show(f"{found.title} ({found.id}, {found.created:%Y-%m-%d %H:%M} UTC)\n\n{said}")


@sessions.command()
@click.argument("name", metavar="ID")
@click.argument("title", metavar="NAME")
@common
def rename(session: Session, name: str, title: str) -> None:
    """Give a conversation a NAME, which is shown as its title."""
    with _opened(session) as kept:
        kept.rename(name, title)
    show_json({"renamed": name, "title": title}) if session.as_json else show(f"{name} is now called {title!r}")


@sessions.command()
@click.argument("name", metavar="ID")
@common
def delete(session: Session, name: str) -> None:
    """Delete a conversation. The runs that it made stay."""
    with _opened(session) as kept:
        kept.delete(name)
    show_json({"deleted": name}) if session.as_json else show(f"deleted {name}")


@sessions.command("export")
@click.argument("name", metavar="ID")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@common
def write(session: Session, name: str, file: Path) -> None:
    """Write a conversation into FILE.md or FILE.json."""
    with _opened(session) as kept:
        path = kept.export(name, file)
    show_json({"exported": name, "path": str(path)}) if session.as_json else show(f"wrote {path}")
