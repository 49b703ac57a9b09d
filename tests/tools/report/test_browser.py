"""The real Chromium, without a network: the page as a reader sees it, pictures, and a PDF."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from analyzers.errors import NoBrowser
from tests.sample_runs import analysis_run, compression_run, evaluation_run, plan_run, story, train_run
from tools import browser, figures
from tools.report import write

pytestmark = [
    pytest.mark.skipif(browser.browser() is None, reason="no Chromium here"),
    pytest.mark.xdist_group("browser"),
]
EVERYTHING = [*story(), evaluation_run()]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=browser.browser(), args=["--no-sandbox"])
        yield opened
        opened.close()


class Seen:
    """A page opened with the network off, and everything that went wrong with it."""

    def __init__(self, chromium: Any, path: Path) -> None:
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page = chromium.new_context(offline=True, viewport={"width": 1100, "height": 900}).new_page()
        self.page.on("console", lambda each: self.problems.append(each.text) if each.type == "error" else None)
        self.page.on("pageerror", lambda each: self.problems.append(str(each)))
        self.page.on("requestfailed", lambda each: self.problems.append(each.url))
        self.page.on("request", lambda each: self.requests.append(each.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector(".js-plotly-plot .main-svg")

    def drawn(self, mark: str) -> int:
        return int(self.page.locator(f".js-plotly-plot {mark}").count())

    def fits(self, width: int) -> bool:
        """Whether nothing is wider than the window; charts follow it after a moment."""
        self.page.set_viewport_size({"width": width, "height": 800})
        for _ in range(100):  # the page forbids the eval that playwright waits with
            if self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"):
                return True
            self.page.wait_for_timeout(100)
        return False


def test_a_report_opens_without_a_network_and_draws_its_charts(chromium: Any, tmp_path: Path) -> None:
    out = write(EVERYTHING, tmp_path / "report.html")
    seen = Seen(chromium, out)
    assert seen.problems == []
    assert seen.requests == [out.as_uri()]
    assert seen.page.locator(".js-plotly-plot").count() == 10
    assert seen.drawn("svg.main-svg") >= 10
    assert seen.drawn(".bars .point") > 36  # six methods, six layers
    assert seen.drawn(".errorbar") > 36
    assert seen.drawn(".scatterlayer .point") > 30
    assert seen.drawn(".hm image") == 2  # the map of ranks, the agreement
    assert seen.fits(1100)
    assert seen.fits(400)  # a telephone


def test_runs_side_by_side_open_too(chromium: Any, tmp_path: Path) -> None:
    runs = [analysis_run(), analysis_run(run_id="analysis-999999", seed=3)]
    seen = Seen(chromium, write(runs, tmp_path / "ranks.html", compare=True))
    assert (seen.problems, seen.drawn(".hm image")) == ([], 1)
    runs = [compression_run(), compression_run(run_id="compression-999999", seed=3)]
    seen = Seen(chromium, write(runs, tmp_path / "measured.html", compare=True))
    assert (seen.problems, seen.drawn(".scatterlayer .point")) == ([], 15)


def test_on_paper_no_chart_is_wider_than_the_page_and_explanations_are_open(chromium: Any, tmp_path: Path) -> None:
    seen = Seen(chromium, write([analysis_run(), plan_run()], tmp_path / "report.html"))
    seen.page.emulate_media(media="print")
    seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = seen.page.evaluate(
        "[...document.querySelectorAll('.js-plotly-plot .main-svg')].map(each => each.clientWidth)"
    )
    assert set(widths) == {680}
    assert seen.page.locator("details:not([open])").count() == 0
    rules = seen.page.evaluate(
        "[...document.querySelectorAll('figure')].map(each => getComputedStyle(each).breakInside)"
    )
    assert set(rules) == {"avoid"}


def test_a_pdf_has_pages_with_text(tmp_path: Path) -> None:
    content = write([train_run()], tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert content.rstrip().endswith(b"%%EOF")
    assert content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") >= 1
    assert b"/Font" in content
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]


def test_pictures_have_the_size_that_they_were_asked_for() -> None:
    drawn = [each.figure for each in figures.pictures(plan_run())][:2]
    for figure, picture in zip(drawn, browser.pictures(drawn), strict=True):
        assert picture.startswith(b"\x89PNG\r\n")
        assert struct.unpack(">II", picture[16:24]) == (1800, 2 * figure.layout.height)
        assert len(picture) > 10_000


def test_a_label_of_a_record_ends_no_script() -> None:
    figure = figures.tower(plan_run().result.layers, [0]).update_layout(title="</script><b>")
    assert len(browser.pictures([figure])) == 1


def test_without_a_browser_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBrowser, match=r"no Chromium was found.*apt-get install chromium.*\.html"):
        write([train_run()], tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_browser_that_does_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "chromium").write_text("#!/bin/sh\necho out of memory\n")
    (folder / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with pytest.raises(NoBrowser, match=r"printed nothing \(out of memory\)"):
        browser.printed("<p>x")
    with pytest.raises(NoBrowser, match="drew 0 of 1 charts"):
        browser.pictures([figures.tower(plan_run().result.layers, [0])])


def test_the_command_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from tools.workspace import Workspace

    home = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    home.runs.save(train_run())
    monkeypatch.setattr(browser, "browser", lambda: None)
    words = ["report", "train-2a2a2a", "--out", str(tmp_path / "report.pdf"), "--home", str(home.home)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: no Chromium was found to draw with; install it")
    assert not (tmp_path / "report.pdf").exists()
