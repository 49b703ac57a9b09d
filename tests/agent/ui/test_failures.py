"""Messages on the page: whatever they quote is text."""

import gradio as gr
import pytest

from agent.ui.failures import error, warn
from analyzers.errors import UnknownRun

PROBLEM = UnknownRun("no session '<img src=x onerror=alert(1)>'")
SHOWN = "no session &#x27;&lt;img src=x onerror=alert(1)&gt;&#x27;"


def test_nothing_of_a_message_is_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    warn(PROBLEM)
    assert said == [SHOWN]
    assert error(PROBLEM).message == SHOWN
