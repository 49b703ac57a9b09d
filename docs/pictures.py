"""Make the pictures of the README and of docs/page.md from what a home measured: python docs/pictures.py demo

Needs Chromium and, for the page in Chinese, a font that has the characters (Debian: fonts-wqy-microhei). The home is copied
first: a session that asks for its runs is added to the copy, nothing is computed. What is shown was measured by `make demo`.
"""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from analyzers.records import AnalysisResult
from knowledge.runs import RunStore
from tools.browser import pictures
from tools.figures import scores_with_intervals

IMAGES = Path(__file__).parent / "images"
ANSWER, PICTURE = "#conversation .reply", ".picture .js-plotly-plot"


def main() -> None:
    with TemporaryDirectory() as folder:
        home = Path(shutil.copytree(sys.argv[1], Path(folder) / "home"))
        store = RunStore(home, embedder_folder=None)
        analysis, plan, compression = (
            store.list(kind=kind, status="done")[0] for kind in ("analysis", "plan", "compression")
        )
        assert isinstance(analysis.result, AnalysisResult)
        (scores,) = pictures([scores_with_intervals(analysis.result)])
        (IMAGES / "scores.png").write_bytes(scores)
        with _server(home) as address, _browser() as browser:
            page = _opened(browser, address, f"show {compression.id}")
            page.locator(".fact", has_text="%").nth(2).hover()
            _kept(page, "page-demo")
            _said(page, f"show {analysis.id}")
            page.locator(PICTURE).nth(3).wait_for()
            page.locator(f".pictures[data-run={analysis.id}] .picture").nth(1).scroll_into_view_if_needed()
            _kept(page, "page-pictures")
            _said(page, f"show {plan.id}")
            page.locator(f".pictures[data-run={plan.id}] .js-plotly-plot").first.wait_for()
            page.set_viewport_size({"width": 375, "height": 812})
            page.locator(f".pictures[data-run={plan.id}] .picture").first.scroll_into_view_if_needed()
            _kept(page, "page-phone")
            page = _opened(browser, f"{address}/zh/", f"显示 {plan.id}")
            page.locator(f".pictures[data-run={plan.id}] .js-plotly-plot").first.wait_for()
            page.locator(".pictures .picture").first.scroll_into_view_if_needed()
            _kept(page, "page-chinese")


def _opened(browser: Browser, address: str, text: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(address)
    page.locator("#new:enabled").click()
    page.locator(".welcome").wait_for()
    _said(page, text)
    return page


def _said(page: Page, text: str) -> None:
    answers = page.locator(ANSWER).count()
    page.locator("#message textarea").fill(text)
    page.keyboard.press("Enter")
    page.locator(f"{ANSWER} footer").nth(answers).wait_for(state="attached", timeout=60_000)


def _kept(page: Page, name: str) -> None:
    page.wait_for_timeout(1500)  # pictures are drawn a moment after they are there
    page.screenshot(path=str(IMAGES / f"{name}.png"))


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@contextmanager
def _server(home: Path) -> Iterator[str]:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    words = ["ui", "--llm", "offline", "--home", str(home), "--port", str(port)]
    process = subprocess.Popen([sys.executable, "-m", "agent.cli", *words])
    try:
        while process.poll() is None:
            with closing(socket.socket()) as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
