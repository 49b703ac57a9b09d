"""HTML of what users, data and runs say: always as text, whatever it looks like, in tables that a keyboard reaches."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import gradio as gr

_CSS = """
.lw-scroll { overflow-x: auto; max-height: 26rem; overflow-y: auto }
.lw-scroll:focus-visible, button:focus-visible { outline: 2px solid #0072b2; outline-offset: 2px }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; width: auto; min-width: 50% }
caption { text-align: left; padding: 2px 0 6px; font-weight: 600 }
ul { padding-left: 1.4em; margin: 0 }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--border-color-primary) }
th { font-weight: 600; white-space: nowrap }
td { overflow-wrap: anywhere; min-width: 3.5rem; max-width: 26rem }
td:first-child { white-space: nowrap }
table button { font: inherit; color: var(--link-text-color); background: none; border: 0; padding: 2px 0; cursor: pointer;
  text-decoration: underline; min-height: 24px }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; line-height: 1.5; margin: 0; max-height: 26rem;
  overflow-y: auto }
progress { appearance: none; width: 100%; height: 12px; border: 0; border-radius: 6px; overflow: hidden; background: #e4e7eb }
progress::-webkit-progress-bar { background: #e4e7eb }
progress::-webkit-progress-value { background: #0072b2 }
progress::-moz-progress-bar { background: #0072b2 }
h2 { font-size: 1.25rem; font-weight: 650; margin: 10px 0 0 }
h3 { font-size: 1.05rem; font-weight: 650; margin: 14px 0 0 }
p { margin: 4px 0 }
"""
# One listener for all buttons, also those of values to come.
_PICK = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-pick]');
  if (button) trigger('click', {picked: button.dataset.pick});
});
"""


def block(value: str = "", **options: Any) -> gr.HTML:
    """A component for what the functions below return; `click` gives `event.picked` of a button in it."""
    return gr.HTML(value, css_template=_CSS, js_on_load=_PICK, apply_default_css=False, **options)


def text(given: object) -> str:
    """Anything as text in HTML. Signs of templates are taken out too, since Gradio fills in those of a page."""
    return escape(str(given)).replace("$", "&#36;").replace("{", "&#123;").replace("`", "&#96;")


def paragraph(given: object, *, alert: bool = False) -> str:
    return f'<p role="alert">{text(given)}</p>' if alert else f"<p>{text(given)}</p>"


def lines(given: object, label: str) -> str:
    """Text with its line breaks, in a region that can be scrolled by keyboard."""
    return f'<pre tabindex="0" role="region" aria-label="{text(label)}">{text(given)}</pre>'


def table(
    header: Sequence[object], rows: Iterable[Sequence[object]], caption: str, *, picks: Sequence[str] | None = None
) -> str:
    """A table that scrolls in itself.

    Args:
        header: of the columns; all empty: none is shown.
        rows: the cells, as text.
        caption: what the table is.
        picks: for each row what its first cell, then a button, stands for.
    """
    body = []
    for place, row in enumerate(rows):
        cells = [text(cell) for cell in row]
        if picks is not None:
            cells[0] = f'<button type="button" data-pick="{text(picks[place])}">{cells[0]}</button>'
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    head = f"<thead><tr>{head}</tr></thead>" if any(header) else ""
    return (
        f'<div class="lw-scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table>'
        f"<caption>{text(caption)}</caption>{head}<tbody>{''.join(body)}</tbody></table></div>"
    )


def progress(fraction: float, label: str) -> str:
    """A bar with its words."""
    return f'<progress max="1" value="{fraction:.4f}" aria-label="{text(label)}"></progress><p>{text(label)}</p>'
