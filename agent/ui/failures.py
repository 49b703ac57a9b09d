"""An error as a message on the page: what was given, what is allowed, what to do next. Nothing of it is markup."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape

import gradio as gr

from tools.failures import not_allowed, told, unexpected


@contextmanager
def on_page() -> Iterator[None]:
    """Around what an event does: whatever goes wrong in it stands on the page until it is closed there.

    Raises:
        gr.Error: the message.
    """
    with _told(error):
        yield


@contextmanager
def on_api() -> Iterator[None]:
    """The same for programs, which show no markup: the message as it is.

    Raises:
        gr.Error: the message.
    """
    with _told(lambda problem: gr.Error(message_of(problem), print_exception=False)):
        yield


@contextmanager
def _told(how: Callable[[Exception], gr.Error]) -> Iterator[None]:
    try:
        yield
    except gr.Error:
        raise
    except Exception as problem:  # noqa: BLE001 (whatever it is, it ends where the visitor or the program sees it)
        raise how(problem) from None


def error(problem: Exception) -> gr.Error:
    """The message for a problem, as the page shows it."""
    return gr.Error(escape(message_of(problem)), duration=None, print_exception=False)


def warn(problem: Exception) -> None:
    """The message for a problem that ends nothing: it goes away by itself."""
    gr.Warning(escape(message_of(problem)))


def message_of(problem: Exception) -> str:
    """The message for a problem; the trace of one that nobody expected goes to the log of the server."""
    message = not_allowed(problem) or told(problem)[1]
    if not message:
        traceback.print_exception(problem)
        message = unexpected(problem)
    return message
