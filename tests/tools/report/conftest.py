"""A browser that draws at once; the real one is in test_browser.py."""

import pytest

from tools import browser

PNG = b"\x89PNG stands for a picture"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that draws at once; the real one is in test_browser.py."""
    monkeypatch.setattr(browser, "browser", lambda: "/usr/bin/chromium")
    monkeypatch.setattr(browser, "pictures", lambda figures: [PNG] * len(figures))
