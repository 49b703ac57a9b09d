"""What a model or a user wrote, as HTML that runs nothing, loads nothing, and says of each verified number where it is from."""

import re
from collections.abc import Callable, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent.events import Backed

# Characters of the private use area stand around a number while the Markdown is read.
_BEGIN, _NUMBER_ENDS, _END = "\ue000", "\ue001", "\ue002"
_MARKED = re.compile(f"{_BEGIN}(\\d+){_NUMBER_ENDS}([^{_END}<]*){_END}")
_PLAIN = re.compile(
    r"[^\n|*_`\[\]()<>]*[^\s|*_`\[\]()<>]"
)  # the number without its interval: marks would break the Markdown
# No HTML of the text is taken for HTML, and no picture is loaded.
_READER = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")


def html_of(text: str, facts: Sequence[Backed] = (), tip: Callable[[Backed], Sequence[str]] = lambda _: ()) -> str:
    """Markdown as HTML; each number with a fact is a button with what stands behind it.

    Args:
        text: from anybody.
        facts: behind numbers of the text.
        tip: the lines that are shown for a fact; they are escaped here.
    """
    marked = _marked(text, facts)
    shown = _READER.render(marked)
    return _MARKED.sub(lambda found: _fact(found[2], facts[int(found[1])], tip), shown)


def plain(text: str) -> str:
    """Text as HTML that shows just that text, line by line."""
    return escape(text).replace("\n", "<br>")


def _marked(text: str, facts: Sequence[Backed]) -> str:
    text = re.sub(f"[{_BEGIN}{_NUMBER_ENDS}{_END}]", "\ufffd", text)  # as long as before: facts know their place
    parts, place = [], 0
    for number, fact in sorted(enumerate(facts), key=lambda each: each[1].start):
        if fact.start < place or fact.end > len(text):
            continue
        shown = _PLAIN.match(text, fact.start, fact.end)
        if shown is None:
            continue
        parts += [text[place : fact.start], f"{_BEGIN}{number}{_NUMBER_ENDS}{shown[0]}{_END}"]
        place = shown.end()
    return "".join([*parts, text[place:]])


def _fact(shown: str, fact: Backed, tip: Callable[[Backed], Sequence[str]]) -> str:
    """`shown` is escaped already."""
    lines = "".join(f"<span>{escape(line)}</span>" for line in tip(fact))
    run = f' data-run="{escape(fact.run)}"' if fact.run else ""
    return f'<button type="button" class="fact"{run}>{shown}<span class="tip" role="tooltip">{lines}</span></button>'


def _link(self: object, tokens: Sequence[Token], place: int, options: object, env: object) -> str:  # noqa: ARG001
    """Links lead to other sites in a window of their own, and do not tell where from."""
    address = escape(str(tokens[place].attrGet("href") or ""))
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer">'


_READER.add_render_rule("link_open", _link)
