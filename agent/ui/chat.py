"""The tab "Chat": the sessions of the visitor, and the one that is open."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import cache
from importlib import resources
from typing import Any

import gradio as gr

from agent.ui.conversation import Conversation
from agent.ui.drawing import Drawing
from agent.ui.failures import warn
from agent.ui.page import Page
from agent.ui.starters import starters
from analyzers.errors import LayerwiseError

TICK = 0.25  # seconds between two pictures of a conversation at least
LIST = 2.0  # seconds between two looks at the list of sessions
LOOK = 0.03  # seconds between two looks whether there is something new
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}


def build(page: Page) -> gr.Textbox:
    """The chat, inside its tab.

    Returns:
        What changes to the id of a run when the visitor wants to see the run behind a number or a step.
    """
    chat = _Chat(page)
    with gr.Row(elem_id="chat"):
        with gr.Column(elem_id="sessions", scale=1, min_width=240):
            new = gr.Button(page.say("chat.new"), elem_id="new", size="sm", interactive=False)
            find = page.say("chat.search")
            words = gr.Textbox(label=find, show_label=False, placeholder=find, elem_id="search", container=False)
            listed = gr.HTML(elem_id="session-list", js_on_load=_asset("page.js"))
        with gr.Column(elem_id="talk", scale=4, min_width=320):
            frame = {"html_template": _frame(page), "js_on_load": _asset("page.js"), "apply_default_css": False}
            talk = gr.HTML({}, elem_id="conversation", **frame)
            message = gr.Textbox(
                label=page.say("chat.message"),
                show_label=False,
                placeholder=page.say("chat.placeholder"),
                elem_id="message",
                lines=1,
                max_lines=8,
                submit_btn=page.say("chat.send"),
                autofocus=True,
            )
    session = gr.Textbox(visible="hidden", label="session", elem_id="session")
    wanted = gr.Textbox(visible="hidden", label="run")
    page_of = gr.context.Context.root_block
    # No new session before the first is there, which would take its place.
    page_of.load(chat.first, None, session, **QUIET).then(lambda: gr.Button(interactive=True), None, new, **QUIET)
    session.change(chat.watch, session, [talk, listed], trigger_mode="multiple", **QUIET)
    words.change(chat.search, words, **QUIET)
    message.submit(chat.send, [session, message], message, js=_asset("take.js"), trigger_mode="multiple", **QUIET)
    new.click(chat.new, None, session, **QUIET)
    talk.click(chat.act, session, [session, wanted], **QUIET)
    listed.click(chat.act, session, [session, wanted], **QUIET)
    return wanted


class _Chat:
    """What happens when something is pressed. Every function is told the session by the browser, and looks whose it is."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._conversations = page.conversations
        self._watchers: dict[str | None, int] = {}  # of each window the number of its last: only that one goes on
        self._words: dict[str | None, str] = {}  # what is searched for in a window

    def first(self, request: gr.Request) -> str:
        """The session of the address, else the one that the visitor was in last."""
        visitor = self._page.visitor(request)
        wanted = request.query_params.get("session")
        try:
            return (
                self._conversations.open(wanted, visitor) if wanted else self._conversations.newest(visitor)
            ).session
        except LayerwiseError:  # deleted since, or of another visitor
            return self._conversations.newest(visitor).session

    def new(self, request: gr.Request) -> str:
        return self._conversations.new(self._page.visitor(request)).session

    def send(self, session: str, text: str, request: gr.Request) -> Any:
        """Say it; what cannot be said comes back into the box."""
        try:
            self._of(session, request).send(text)
        except LayerwiseError as problem:
            warn(problem)
            return text
        return gr.skip()

    def act(self, session: str, event: gr.EventData, request: gr.Request) -> tuple[str, str]:
        """Do what a button says; the session that is open afterwards, and the run that is to be shown."""
        data: dict[str, Any] = dict(event._data or {})
        return self._done(session, data, request), str(data.get("run") or "") if data.get("do") == "run" else ""

    def _done(self, session: str, data: dict[str, Any], request: gr.Request) -> str:
        visitor = self._page.visitor(request)
        named = str(data.get("session") or session)
        text = str(data.get("text") or "")
        try:
            match data.get("do"):
                case "say":
                    self._of(session, request).send(text)
                case "again":
                    self._of(session, request).again(str(data.get("item")), text)
                case "approve" | "refuse" as decision:
                    self._of(session, request).decide(decision)
                case "approve_all":
                    self._of(session, request).decide("approve", rest=True)
                case "change":
                    self._of(session, request).decide("change", dict(data.get("arguments") or {}))
                case "stop":
                    self._of(session, request).stop()
                case "remove":
                    self._of(session, request).drop(str(data.get("item")))
                case "open":
                    return self._conversations.open(named, visitor).session
                case "rename":
                    self._conversations.rename(named, text, visitor)
                case "delete":
                    self._conversations.delete(named, visitor)
                    return self._conversations.newest(visitor).session if named == session else session
        except LayerwiseError as problem:
            warn(problem)
        return session

    def search(self, words: str, request: gr.Request) -> None:
        """List only the sessions that hold these words from now on."""
        self._words[request.session_hash] = words

    async def watch(self, session: str, request: gr.Request) -> AsyncIterator[Any]:
        """What the window shows, the conversation and the list, whenever it changes and as long as the window is there."""
        window, visitor = request.session_hash, self._page.visitor(request)
        mine = self._watchers[window] = self._watchers.get(window, 0) + 1
        conversation = await asyncio.to_thread(self._of, session, request)
        drawing, listed, looked, words = Drawing(self._page, self._page.workspace.reports), "", 0.0, ""
        try:
            while self._watchers.get(window) == mine:
                version, drawn, now = conversation.version, listed, time.monotonic()
                view = await asyncio.to_thread(self._view, conversation, drawing)
                if now - looked > LIST or words != self._words.get(window, ""):
                    looked, words = now, self._words.get(window, "")
                    drawn = await asyncio.to_thread(self._list, drawing, session, words, visitor)
                if self._watchers.get(window) != mine:
                    break
                yield view, (gr.skip() if drawn == listed else drawn)
                self._page.shown.set()
                listed = drawn
                await asyncio.sleep(TICK)
                while self._watchers.get(window) == mine and not (
                    conversation.version != version
                    or time.monotonic() - now > (1 if conversation.busy else LIST)
                    or words != self._words.get(window, "")
                ):
                    await asyncio.sleep(LOOK)
            yield (
                gr.skip(),
                gr.skip(),
            )  # Gradio tells the last value once more at the end: over that of the next watcher
        finally:
            if self._watchers.get(window) == mine:
                del self._watchers[window]
                self._words.pop(window, None)

    def _view(self, conversation: Conversation, drawing: Drawing) -> dict[str, Any]:
        say, items = self._page.say, list(conversation.transcript.items)
        drawn = drawing.items(items, time.monotonic())
        status = say("chat.stopping") if conversation.stopping else say("chat.working") if conversation.busy else ""
        return {
            "session": conversation.session,
            "status": status,
            "items": drawn or drawing.welcome(starters(self._page.workspace, say)),
        }

    def _list(self, drawing: Drawing, session: str, words: str, visitor: str) -> str:
        found = self._conversations.listed(visitor, words, limit=100)
        return drawing.sessions(found, session, self._conversations.working(visitor), bool(words.strip()))

    def _of(self, session: str, request: gr.Request) -> Conversation:
        return self._conversations.open(session, self._page.visitor(request))


def _frame(page: Page) -> str:
    return (
        f'<div role="log" tabindex="0" aria-label="{page.say("chat.conversation")}" data-copied="{page.say("chat.copied")}" data-language="{page.language}"></div>'
        f'<div class="working" role="status" hidden><i aria-hidden="true"></i><span></span>'
        f'<button type="button" data-do="stop">{page.say("chat.stop")}</button></div>'
    )


@cache
def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
