"""The items of a conversation and the list of sessions as HTML, in the words of a page."""

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from agent.events import Backed
from agent.sessions import Session
from agent.ui.markdown import html_of, plain
from agent.ui.transcript import Decided, Item, Notice, Question, Reply, Said, Step
from tools import wording

REPORTS = "/reports"  # where the server shows them
LEARNING = ("train_model", "compress_model")  # steps that have a curve while they go on
LONG = 40  # characters of an argument beside the name of its step
_MACROS: dict[type[Item], str] = {
    Decided: "decided",
    Reply: "reply",
    Question: "question",
    Notice: "notice",
}


_Drawn = tuple[
    Item, int | None, str
]  # with what else it looks like: the seconds of a step, whether a message is the last


class Words(Protocol):
    def say(self, key: str, **values: object) -> str: ...

    def translated(self, text: str) -> str: ...


class Drawing:
    """Draws what one page shows; an item that did not change is not drawn again.

    Args:
        words: of the page.
        reports: the folder of the reports; where an answer names one, it is a link to it.
    """

    def __init__(self, words: Words, reports: Path) -> None:
        self._words = words
        self._report = re.compile(re.escape(escape(f"{reports}/")) + r"([\w-]+\.(?:html|md|json))")
        self._drawn: dict[str, _Drawn] = {}
        environment = Environment(
            loader=FunctionLoader(_source), undefined=StrictUndefined, autoescape=True, trim_blocks=True
        )
        environment.globals.update(
            say=words.say,
            translated=words.translated,
            name=self._name,
            plain=lambda text: Markup(plain(text)),
            markdown=lambda text, facts: Markup(self._linked(html_of(text, facts, self._tip))),
            pairs=_pairs,
            first=_first,
            as_text=_as_text,
            duration=wording.duration,
            size=lambda megabytes: wording.size(megabytes * 1e6),
        )
        self._macros: Any = environment.get_template("items.html.j2").module

    def items(self, items: Iterable[Item], now: float) -> list[dict[str, str]]:
        """Id and HTML of each item, for `page.js`; the pictures of a step stand below it, those of a run once."""
        drawn: dict[str, _Drawn] = {}
        pictured: set[str] = set()
        shown = list(items)
        last = next((each for each in reversed(shown) if isinstance(each, Said) and not each.answer), None)
        for item in shown:
            state = item.seconds(now) if isinstance(item, Step) else item is last
            known = self._drawn.get(item.id)
            if known is None or known[0] is not item or known[1] != state:
                known = (item, state, self._draw(item, state))
            drawn[item.id] = known
            if isinstance(item, Step) and item.status == "running" and item.name in LEARNING:
                drawn[f"{item.id}-live"] = (item, None, str(self._macros.live()))
            if isinstance(item, Step) and item.status == "done" and item.run and item.run not in pictured:
                pictured.add(item.run)
                drawn[f"{item.id}-pictures"] = (item, None, str(self._macros.pictures(item.run)))
        self._drawn = drawn
        return [{"id": name, "html": html} for name, (_, _, html) in drawn.items()]

    def welcome(self, starters: Sequence[str]) -> list[dict[str, str]]:
        """What stands where nothing was said yet."""
        return [{"id": "welcome", "html": str(self._macros.welcome(starters))}]

    def sessions(self, found: Sequence[Session], current: str, working: Sequence[str], searched: bool) -> str:
        """The list beside the chat."""
        empty = self._words.say("chat.none_found" if searched else "chat.none")
        return str(self._macros.sessions(found, current, working, empty))

    def _draw(self, item: Item, state: int | None) -> str:
        if isinstance(item, Step):
            return str(self._macros.step(item, state))
        if isinstance(item, Said):
            return str(self._macros.said(item, state))
        return str(getattr(self._macros, _MACROS[type(item)])(item))

    def _linked(self, html: str) -> str:
        return self._report.sub(rf'<a href="{REPORTS}/\1" target="_blank" rel="noopener">\1</a>', html)

    def _name(self, tool: str) -> str:
        try:
            return self._words.say(f"chat.{tool}")
        except KeyError:
            return tool

    def _tip(self, fact: Backed) -> list[str]:
        say, lines = self._words.say, []
        if fact.value is not None:
            lines.append(say("chat.fact_value", value=f"{fact.value:.6g} {fact.unit}".strip()))
        if fact.low is not None and fact.high is not None:
            lines.append(say("chat.fact_interval", low=f"{fact.low:.4g}", high=f"{fact.high:.4g}"))
        if fact.run:
            lines.append(say("chat.fact_run", run=fact.run))
        return [*lines, say("chat.fact_path", path=fact.path)]


@cache
def _source(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pairs(arguments: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name}={_as_text(value)}" if name else str(value) for name, value in arguments)


def _first(arguments: Sequence[tuple[str, Any]]) -> str:
    """What a step is about, in a word: a model, a run, a method."""
    name, value = arguments[0] if arguments else ("", "")
    text = _as_text(value) if name else str(value).partition(", ")[0].rpartition("=")[2]  # "run=x, y=1": of an old step
    return wording.cut(text, LONG)
