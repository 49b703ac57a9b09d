"""A report as Markdown for a repository, its charts as PNG pictures in a folder beside it."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import quote

from knowledge.files import whole
from tools import browser
from tools.rendering import rendered
from tools.report.content import Chart, Document


def write_markdown(content: Document, out: Path) -> None:
    """Write `out` and the folder of its pictures, both whole or not at all.

    Without a Chromium there are no pictures, and the report says how to get them; each chart has a table anyhow.

    Raises:
        StorageError: the disk is full or not writable.
        NoBrowser: there is a Chromium, and it does not draw.
    """
    charts = content.charts()
    folder = out.with_name(f"{out.stem}-pictures")
    draws = bool(charts) and browser.browser() is not None
    drawn = browser.pictures([chart.figure for chart in charts]) if draws else []
    names = {id(chart): _name(chart) for chart in charts}
    links = {key: f"{quote(folder.name)}/{name}" for key, name in names.items()} if draws else {}
    text = rendered("report.md.j2", document=content, pictures=links, bare=bool(charts) and not draws)
    with whole(out) as temporary, tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as work:
        made = Path(work) / "pictures"
        made.mkdir()
        for chart, picture in zip(charts, drawn, strict=False):
            (made / names[id(chart)]).write_bytes(picture)
        temporary.write_text(text, encoding="utf-8")
        _put(made, folder, Path(work) / "old", keep=bool(drawn))


def _put(made: Path, folder: Path, old: Path, keep: bool) -> None:
    """The new folder in the place of the old one, which comes back if that fails."""
    there = folder.is_dir()
    if there:
        folder.replace(old)
    try:
        if keep:
            shutil.move(made, folder)
    except OSError:
        if there:
            old.replace(folder)
        raise


def _name(chart: Chart) -> str:
    return f"{chart.name}-{chart.run}.png" if chart.run else f"{chart.name}.png"
