"""The pictures of a run as a small page of its own, which the chat shows below an answer about that run."""

from collections.abc import Iterable

from agent.events import Backed
from agent.ui.html import TABLES, paragraph, table, text
from agent.ui.page import Page
from analyzers.records import Run
from tools import figures

PICTURES = "/pictures"  # where the server shows them: /pictures/LANGUAGE/RUN
LIBRARY = f"{PICTURES}/plotly.js"
MOST = 4  # runs below one answer
_KINDS = {"train", "analysis", "plan", "compression"}  # that have pictures
_LOOK = """
:root { --border-color-primary: #d9dde3; --link-text-color: #0072b2 }
body { margin: 0; padding: 4px 12px 12px; background: #fff; color: #1f2933; font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif }
summary { cursor: pointer; padding: 4px 0 }
"""


def pictured(facts: Iterable[Backed]) -> list[str]:
    """The runs with pictures that an answer speaks of, in its order."""
    runs = dict.fromkeys(fact.run for fact in facts if fact.run and fact.run.partition("-")[0] in _KINDS)
    return list(runs)[:MOST]


def gallery(run: Run, page: Page) -> str:
    """All pictures of a run, each with what it shows and the same values as a table."""
    found = figures.pictures(run)
    shown = "".join(_shown(picture, page) for picture in found) or paragraph(page.say("chat.no_pictures"))
    return (
        f'<!doctype html><html lang="{page.language}"><head><meta charset="utf-8"><title>{text(run.id)}</title>'
        f'<style>{TABLES}{_LOOK}</style><script src="{LIBRARY}"></script></head><body><main>{shown}</main></body></html>'
    )


def _shown(picture: figures.Picture, page: Page) -> str:
    name = page.say(f"runs.picture_{picture.name}")
    caption = page.say("runs.table", title=name)
    drawn = picture.figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        default_height=f"{picture.figure.layout.height}px",
        config={"displayModeBar": False, "responsive": True},
    )
    return (
        f'<h2>{text(name)}</h2>{paragraph(picture.about)}<div role="img" aria-label="{text(picture.about)}">{drawn}</div>'
        f"<details><summary>{text(caption)}</summary>{table(*picture.table, caption)}</details>"
    )
