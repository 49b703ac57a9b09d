"""Pictures for the chat: what a run shows, and the curve of a training that goes on, as JSON that `page.js` draws.

GET /pictures/LANGUAGE/RUN   the pictures of a run
GET /live/LANGUAGE/SESSION   the curve of what is trained in a session now
GET /plotly.js               what draws them; from this machine, like everything of the page
"""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse

from agent.ui.gate import USER
from agent.ui.html import paragraph, table, text
from agent.ui.page import NOBODY, Page
from agent.ui.pictures import on_white
from analyzers.errors import LayerwiseError
from tools.figures import Picture, live_curve, pictures, translated
from tools.jobs import Job

PICTURES, LIVE, PLOTLY = "/pictures", "/live", "/plotly.js"
KEPT = {"Cache-Control": "private, max-age=86400"}


def add_gallery(app: FastAPI, pages: dict[str, Page]) -> None:
    """Give the server the addresses above.

    Args:
        app: the server.
        pages: by language.
    """

    def of_run(language: str, run: str) -> Response:
        return _answer(lambda: _of_run(pages[language], run))

    def live(language: str, session: str, request: Request) -> Response:
        visitor = str(request.scope.get(USER, NOBODY))
        return _answer(lambda: _live(pages[language], session, visitor))

    def plotly() -> Response:
        found = resources.files("plotly").joinpath("package_data/plotly.min.js")
        return FileResponse(Path(str(found)), media_type="text/javascript", headers=KEPT)

    app.add_api_route(f"{PICTURES}/{{language}}/{{run}}", of_run)
    app.add_api_route(f"{LIVE}/{{language}}/{{session}}", live)
    app.add_api_route(PLOTLY, plotly)


def _answer(made: Callable[[], list[dict[str, Any]]]) -> Response:
    """Nothing, where there is no such run, session or language: the chat then shows no picture."""
    try:
        return Response(json.dumps(made()), media_type="application/json")
    except (LayerwiseError, KeyError):
        return Response("[]", 404, media_type="application/json")


def _of_run(page: Page, name: str) -> list[dict[str, Any]]:
    return [_drawn(picture, page) for picture in pictures(page.workspace.runs.get(name))]


def _live(page: Page, session: str, visitor: str) -> list[dict[str, Any]]:
    job: Job | None = page.conversations.job(session, visitor)
    found = live_curve(page.workspace.runs.folder(job.run)) if job and job.run else None
    if found is None:
        return []
    name = page.say("runs.picture_training")
    return [_drawn(Picture("training", name, page.say("chat.goes_on"), *found), page)]


def _drawn(picture: Picture, page: Page) -> dict[str, Any]:
    shown = translated(picture, page.language)
    name = page.say(f"runs.picture_{picture.name}")
    caption = page.say("runs.table", title=name)
    values = f"<details><summary>{text(caption)}</summary>{table(*shown.table, caption)}</details>"
    figure = on_white(shown.figure)
    return {
        "name": picture.name,
        "title": name,
        "about": paragraph(shown.about),
        "figure": json.loads(figure.to_json()) if figure else {},
        "table": values,
    }
