"""What every part of the page is given: where things lie, the language that it speaks, and who looks at it."""

import threading
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import gradio as gr
import yaml

from agent.settings import Settings
from agent.ui.conversations import Conversations
from agent.ui.preferences import Preferences
from agent.ui.watch import Watch
from prompts import load
from tools.translation import words
from tools.workspace import Workspace

Language = Literal["en", "zh"]
LANGUAGES: dict[Language, str] = {"en": "English", "zh": "简体中文"}
PATHS: dict[Language, str] = {"en": "/", "zh": "/zh"}  # where the page of each language is
NOBODY = ""  # the visitor where no users are set: whoever reaches the page is the owner of the home


@dataclass(frozen=True)
class Page:
    """The page in one language; those of the other languages share all but it.

    Args:
        settings: of the server; a visitor's choices go before them, see `preferences`.
        workspace: the home that is shown.
        conversations: of the home, for all visitors.
        preferences: what each visitor chose: `page.preferences.llm(page.visitor(request))`.
        watch: looks at the jobs of the home, for all who look.
        users: names that may sign in; empty: no sign-in.
        language: of every word on the page.
        shown: set when somebody has the page before them.
    """

    settings: Settings
    workspace: Workspace
    conversations: Conversations
    preferences: Preferences
    watch: Watch
    users: tuple[str, ...] = ()
    language: Language = "en"
    shown: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, settings: Settings, workspace: Workspace, users: tuple[str, ...] = ()) -> "Page":
        """The page in English; `dataclasses.replace` gives it another language."""
        preferences = Preferences(workspace)
        conversations = Conversations(settings, workspace, users, preferences)
        return cls(settings, workspace, conversations, preferences, Watch(workspace), users)

    def say(self, key: str, **values: object) -> str:
        """The words for `key` in the language of the page: `chat.send` stands in `prompts/page_chat.yaml`.

        The result is plain text: where it is shown as HTML or Markdown, values of users and runs must be escaped.

        Raises:
            KeyError: there are no such words.
        """
        part, _, name = key.partition(".")
        words = _words(part)[name][self.language]
        return words.format(**values) if values else words

    def translated(self, text: str) -> str:
        """A text that is made of parts elsewhere, such as the cell of a table, in the language of the page."""
        return words(self.language)(text)

    def visitor(self, request: gr.Request | None) -> str:
        """The name of who looks at the page; `NOBODY` where no users are set."""
        name = getattr(request, "username", None)
        return str(name) if self.users and name else NOBODY


@cache
def _words(part: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = yaml.safe_load(load(f"page_{part}.yaml"))
    return found
