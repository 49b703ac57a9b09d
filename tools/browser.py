"""Chromium without a window: charts become PNG pictures, pages become PDF. It is started anew each time and loads nothing.

A browser is what draws plotly's charts. Its command line is all that is needed; kaleido, which speaks to the same browser,
took seven times as long for each picture.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go

from analyzers.errors import NoBrowser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
PATIENCE = 300.0  # seconds; two busy cores take 15 for ten pictures
WIDTH, SCALE = 900, 2.0
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--virtual-time-budget=60000",  # of the page's own clock: it ends when all is drawn
)
_PICTURE = re.compile(r"<i>data:image/png;base64,([^<]+)</i>")


def browser() -> str | None:
    """The path of a Chromium; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def pictures(figures: Sequence[go.Figure]) -> list[bytes]:
    """Each figure as a PNG of 1,800 pixels across.

    Raises:
        NoBrowser: there is no Chromium, or it drew nothing.
    """
    from plotly.offline import get_plotlyjs

    drawn = [json.loads(go.Figure(figure).update_layout(paper_bgcolor="white").to_json()) for figure in figures]
    content = json.dumps(drawn).replace("<", "\\u003c")  # no text of a figure ends the script
    script = f"""(async () => {{ for (const each of {content}) {{
        const picture = document.createElement("i");
        picture.textContent = await Plotly.toImage(
            each, {{format: "png", width: {WIDTH}, height: each.layout.height, scale: {SCALE}}});
        document.body.append(picture);
    }} }})()"""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(
            f'<meta charset="utf-8"><body><script>{get_plotlyjs()}</script><script>{script}</script>', encoding="utf-8"
        )
        found = _PICTURE.findall(_run(page, "--dump-dom"))
    if len(found) != len(figures):
        raise NoBrowser(f"{browser()} drew {len(found)} of {len(figures)} charts; write the report as .html instead")
    return [base64.b64decode(each) for each in found]


def printed(html: str) -> bytes:
    """The page as a PDF, as its rules for paper have it.

    Raises:
        NoBrowser: there is no Chromium, or it printed nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        page, out = Path(folder) / "page.html", Path(folder) / "page.pdf"
        page.write_text(html, encoding="utf-8")
        said = _run(page, f"--print-to-pdf={out}", "--no-pdf-header-footer")
        if not out.is_file():
            raise NoBrowser(f"{browser()} printed nothing ({said[-200:].strip()}); write the report as .html instead")
        return out.read_bytes()


def _run(page: Path, *flags: str) -> str:
    """Standard output of the browser."""
    found = browser()
    if found is None:
        raise NoBrowser(
            "no Chromium was found to draw with; install it (Debian: apt-get install chromium), or Google Chrome, or write "
            "the report as .html, which any browser prints"
        )
    # A process of root has no sandbox to go into; the page is our own and loads nothing.
    rights = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [found, *_FLAGS, *rights, f"--user-data-dir={page.parent / 'profile'}", *flags, page.as_uri()]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NoBrowser(f"{found} did not do its work: {problem}; write the report as .html instead") from problem
    return done.stdout
