"""Gives the page an address: 127.0.0.1 unless told otherwise, never a public link, nothing from another host."""

import socket
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import replace
from importlib import resources
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles

from agent.settings import Settings
from agent.ui.app import create_app
from agent.ui.drawing import REPORTS
from agent.ui.gallery import add_gallery
from agent.ui.gate import HERE, USER, Gate
from agent.ui.page import LANGUAGES, PATHS, Page
from agent.ui.uploads import LARGEST
from analyzers.errors import LayerwiseError, UsageError
from tools.workspace import Workspace

IDLE = 0.02  # seconds between two looks of Gradio for events; its own, 0.001, keeps a core busy by a twentieth while nobody is there
UNSEEN = 3.0  # seconds that a visitor gets to be shown the page before anything else is loaded


def serve(
    settings: Settings, workspace: Workspace, host: str = "127.0.0.1", port: int = 7860, auth: tuple[str, ...] = ()
) -> None:
    """Show the page until the process is asked to end.

    Args:
        settings: of the language model.
        workspace: the home that is shown.
        host: the address to listen at.
        port: 0 takes a free one.
        auth: USER:PASSWORD of each who may sign in; without one, only this machine may look.

    Raises:
        UsageError: a user without a name or a password, an address beyond this machine without users, or one that is taken.
    """
    users = _users(auth)
    if not users and not _local(host):
        raise UsageError(
            f"--host {host} lets the network in, and nobody would have to sign in; add --auth USER:PASSWORD, or stay at 127.0.0.1"
        )
    listening = _listen(host, port)
    place = f"[{host}]" if ":" in host else host
    print(f"Layerwise is at http://{place}:{listening.getsockname()[1]}; end with Ctrl-C", flush=True)
    page = Page.of(settings, workspace, tuple(users))
    application = create_server(page, users, local=_local(host))
    threading.Thread(target=_warm, args=(page,), daemon=True).start()
    with suppress(KeyboardInterrupt), closing(page.conversations):  # Ctrl-C is how it ends
        uvicorn.Server(uvicorn.Config(application, log_level="error", timeout_graceful_shutdown=1)).run([listening])


def create_server(page: Page, users: Mapping[str, str], local: bool = True) -> Gate:
    """The page in all languages behind its gate, as an ASGI application."""
    app = FastAPI(openapi_url=None)
    css = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    looks: dict[str, Any] = {"theme": _theme(), "css": css, "max_file_size": LARGEST}
    if users:
        looks["auth_dependency"] = lambda request: request.scope.get(USER)
    for path in filter(lambda path: path != "/", PATHS.values()):
        app.add_api_route(path, lambda path=path: RedirectResponse(f"{path}/"))
    app.mount(REPORTS, StaticFiles(directory=page.workspace.reports, check_dir=False))
    pages = {language: replace(page, language=language) for language in LANGUAGES}
    add_gallery(app, {str(language): each for language, each in pages.items()})
    for language in sorted(LANGUAGES, key=lambda each: -len(PATHS[each])):  # "/" takes what is left
        blocks = create_app(pages[language])
        blocks.queue(default_concurrency_limit=None)
        blocks._queue.sleep_when_free = IDLE
        blocks._queue.progress_update_sleep_when_free = IDLE
        gr.mount_gradio_app(app, blocks, path=PATHS[language], run_history=False, footer_links=[], **looks)
    return Gate(app, users, local)


def _warm(page: Page) -> None:
    """Load what the first message needs once the page is shown: while that is read, there is time."""
    page.shown.wait(UNSEEN)

    from agent.chat import ChatSession
    from agent.llm import choose

    with suppress(LayerwiseError), TemporaryDirectory() as folder:  # whoever says something is told
        home = page.workspace.model_copy(update={"home": Path(folder)})
        with closing(ChatSession(choose("offline", page.settings), home)) as talk:
            for _ in talk.stream("hello"):
                pass


def _theme() -> gr.themes.Base:
    """Fonts of the machine: those of Gradio's own would be fetched."""
    theme: gr.themes.Base = gr.themes.Default(
        primary_hue="blue",
        neutral_hue="slate",
        font=["system-ui", "Noto Sans CJK SC", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return theme


def _users(auth: tuple[str, ...]) -> dict[str, str]:
    users = {}
    for given in auth:
        name, _, password = given.partition(":")
        if not name or not password:
            raise UsageError(f"--auth of {name or 'nobody'} has no name or no password; give USER:PASSWORD")
        users[name] = password
    return users


def _local(host: str) -> bool:
    try:
        return host in HERE or ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as problem:
        listening.close()
        reason = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(
            f"cannot listen at {host}:{port}: {reason}; choose another: --port 0 takes a free one"
        ) from None
    return listening
