"""An error as a message on the page: what was given, what is allowed, what to do next. Nothing of it is markup."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr
from pydantic import ValidationError

from tools.failures import told, unexpected


@contextmanager
def on_page() -> Iterator[None]:
    """Around what an event does: whatever goes wrong in it stands on the page until it is closed there.

    Raises:
        gr.Error: the message.
    """
    try:
        yield
    except gr.Error:
        raise
    except Exception as problem:  # noqa: BLE001 (whatever it is, it ends on the page)
        raise error(problem) from None


def error(problem: Exception) -> gr.Error:
    """The message for a problem; the trace of one that nobody expected goes to the log of the server."""
    _, message, _ = told(problem)
    if isinstance(problem, ValidationError):
        first = problem.errors()[0]
        message = f"{'.'.join(map(str, first['loc'])) or 'it'} {first['input']!r} is not allowed: {first['msg']}"
    if not message:
        traceback.print_exception(problem)
        message = unexpected(problem)
    return gr.Error(escape(message), duration=None, print_exception=False)
