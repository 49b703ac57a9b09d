"""Items as HTML."""

from pathlib import Path
from typing import Any

import pytest

from agent.events import ApprovalNeeded, Backed, ToolProgress
from agent.ui.drawing import Drawing
from agent.ui.page import Page
from agent.ui.transcript import Decided, Item, Notice, Question, Reply, Said, Step
from tools.estimates import Forecast, Forecasts

NASTY = '<img src=x onerror="y">\'"'
ESTIMATE = Forecasts(
    seconds=Forecast(value=90, n=2, runs=(NASTY,), basis=NASTY), unknown={"memory_mb": NASTY, "disk_mb": "?"}
)
ASKED = ApprovalNeeded(
    call_id=NASTY, name=NASTY, arguments={NASTY: NASTY}, reason="unknown", estimate=ESTIMATE, dependants=(NASTY,),
    decisions=("approve", "change", "refuse"), text=NASTY,
)  # fmt: skip
FACT = Backed(number="0.5", start=0, end=3, value=0.5, unit=NASTY, low=0.4, high=0.6, run=NASTY, path=NASTY)
ITEMS: list[Item] = [
    Said(NASTY),
    Said(NASTY, "waiting"),
    Decided("change", ((NASTY, NASTY),)),
    Reply(f"0.5 {NASTY}", True, (FACT,), (NASTY,)),
    Step(
        "a",
        NASTY,
        ((NASTY, NASTY),),
        progress=ToolProgress(step=NASTY, done=1, total=2, fraction=0.5, seconds_left=3),
        notes=(NASTY,),
    ),
    Step("a", "train_model", (), "failed", run=NASTY, message=NASTY),
    Question(ASKED),
    Notice("failed", NASTY),
    Notice("withdrawn", NASTY),
    Notice("interrupted", NASTY),
]


def drawing(language: Any = "en", reports: Path = Path("/home/reports")) -> Drawing:
    class Words:
        users, say, translated = (), Page.say, Page.translated

    words: Any = Words()
    words.language = language
    return Drawing(words, reports)


def draw(item: Item, **options: Any) -> str:
    return drawing(**options).items([item], 0.0)[0]["html"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_what_anybody_wrote_is_text_in_every_item(item: Item, language: str) -> None:
    html = draw(item, language=language)
    assert "<img" not in html
    assert 'onerror="' not in html
    assert "&lt;img" in html


def test_a_step_says_how_far_it_is() -> None:
    progress = ToolProgress(step="counting", done=1, total=4, fraction=0.25, seconds_left=90)
    html = draw(Step("a", "train_model", began=0.0, progress=progress))
    assert "25 %" in html
    assert "1:30 left" in html
    assert 'value="0.25"' in html


def test_a_question_has_its_estimate_and_what_can_be_decided() -> None:
    html = draw(Question(ASKED))
    assert "about 1:30" in html
    assert [f'data-do="{each}"' in html for each in ("approve", "approve_all", "change", "refuse")] == [True] * 4
    closed = draw(Question(ASKED, open=False))
    assert "data-do" not in closed
    deletes = draw(Question(ASKED.model_copy(update={"decisions": ("approve", "refuse")})))
    assert "approve_all" not in deletes


def test_a_report_of_this_home_is_a_link_and_no_other_file() -> None:
    html = draw(
        Reply("It is written: /home/reports/plan-x-1.html and /home/reports/../x.html and /etc/plan.html", True)
    )
    assert html.count('href="/reports/') == 1
    assert '<a href="/reports/plan-x-1.html"' in html


def test_an_item_that_did_not_change_is_not_drawn_again() -> None:
    said, drawn = Said("x"), drawing()
    first = drawn.items([said], 0.0)[0]["html"]
    drawn._draw = lambda *_: "again"  # type: ignore[method-assign]
    assert drawn.items([said], 1.0)[0]["html"] is first
    assert drawn.items([Said("y")], 1.0)[0]["html"] == "again"
