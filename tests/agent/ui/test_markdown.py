"""Markdown of anybody as HTML."""

import pytest

from agent.events import Backed
from agent.ui.markdown import html_of, plain


def backed(text: str, number: str, run: str = "analysis-x") -> Backed:
    start = text.index(number)
    return Backed(
        number=number,
        start=start,
        end=start + len(number),
        value=0.5,
        unit="",
        low=None,
        high=None,
        run=run,
        path="a.b",
    )


@pytest.mark.parametrize(
    "text",
    [
        "<script>x</script>",
        "<img src=x onerror=y>",
        "a <b onmouseover=x>b</b>",
        "`<script>`",
        "![a](http://elsewhere/x.png)",
        "![a][b]\n\n[b]: http://elsewhere/x.png",
        "[a](javascript:alert(1))",
        '[a](<http://x/"onmouseover="y>)',
        "| <img src=x> |\n|---|\n| <script> |",
        "\ue0000\ue001<script>\ue002",
    ],
)
def test_nothing_of_the_text_becomes_a_tag_that_does_something(text: str) -> None:
    html = html_of(text)
    for bad in ("<script", "<img", "<b ", 'href="javascript', '" onmouseover', '"onmouseover'):
        assert bad not in html.lower()


def test_a_number_leads_to_its_run_and_what_is_shown_of_it_is_escaped() -> None:
    text = "**0.5** and 0.7 [0.6 to 0.8]"
    facts = [backed(text, "0.5", "<run>"), backed(text, "0.7 [0.6 to 0.8]")]
    html = html_of(text, facts, lambda fact: [f"<i>{fact.run}</i>"])
    assert '<strong><button type="button" class="fact" data-run="&lt;run&gt;">0.5<span' in html
    assert "<span>&lt;i&gt;&lt;run&gt;&lt;/i&gt;</span>" in html
    assert '">0.7<span' in html  # the interval stays outside: its brackets are marks
    assert "[0.6 to 0.8]</p>" in html


def test_facts_of_another_text_are_left_out() -> None:
    text = "0.5"
    fact = backed(text, "0.5").model_copy(update={"end": 9})
    assert html_of(text, [fact]) == "<p>0.5</p>\n"


def test_plain_text_keeps_its_lines() -> None:
    assert plain("a <b>\n&") == "a &lt;b&gt;<br>&amp;"
