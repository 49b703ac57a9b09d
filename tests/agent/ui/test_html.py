"""Whatever is given becomes text: for the browser, and for the templates that Gradio fills in there."""

import pytest

from agent.ui import html

EVIL = """<img src=x onerror="alert(1)"> & '"' ${alert(2)} {{value}} `x`"""


def plain(shown: str) -> str:
    """What of it a browser or a template would take for more than text."""
    return "".join(sign for sign in shown if sign in "<$`{\"'")


def test_text_has_no_sign_that_means_something():
    assert plain(html.text(EVIL)) == ""
    assert html.text(3) == "3"
    assert html.text("1 < 2 & 3") == "1 &lt; 2 &amp; 3"


@pytest.mark.parametrize(
    "shown",
    [
        html.paragraph(EVIL),
        html.paragraph(EVIL, alert=True),
        html.lines(EVIL, EVIL),
        html.table([EVIL], [[EVIL]], EVIL),
        html.table([EVIL], [[EVIL]], EVIL, picks=[EVIL]),
        html.progress(0.5, EVIL),
    ],
)
def test_nothing_given_becomes_markup(shown: str):
    assert "<img" not in shown
    assert not {"$", "`", "{"} & set(shown)
    assert shown.count('"') % 2 == 0
    assert 'onerror="' not in shown


def test_a_table_of_facts_has_no_empty_header():
    assert "<thead>" not in html.table(["", ""], [["a", "b"]], "facts")
    assert '<th scope="col">name</th>' in html.table(["name"], [["a"]], "names")


def test_a_row_can_be_picked_by_keyboard():
    shown = html.table(["id", "what"], [["one", "x"], ["two", "y"]], "rows", picks=["1", "2"])
    assert shown.count("<button ") == 2
    assert '<button type="button" data-pick="2">two</button>' in shown
