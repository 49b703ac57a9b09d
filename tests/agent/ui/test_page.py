"""The page as a visitor sees it, in a browser."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect
from torch.utils.tensorboard import SummaryWriter

from knowledge.runs import RunStore
from tests.agent.ui.conftest import PATIENCE, Server, Visitor
from tests.fake_jobs import noted, until
from tools.jobs import JobStore

TRAIN = "train minilm on the Amazon demo reviews"
WHOLE = (
    "Train minilm on the Amazon demo reviews, then tell me which layers I can drop to make it twice as fast, and do it"
)
NASTY = "<script>window.hit = 1</script><img src=http://elsewhere.invalid/x.png onerror='window.hit = 2'> ![x](http://elsewhere.invalid/y.png)"


def counting(ledger: Path, steps: int, options: str = "") -> str:
    """A message that trains for that long, in a job."""
    data = f"steps={steps} pause=0.1 ledger={ledger} {options}".strip()
    return f"call train_model {json.dumps({'model': 'demo:minilm', 'data': data})}"


class Death(threading.Thread):
    """Notices when the last of the processes has gone."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        super().__init__()
        self._processes, self.time = processes, 0.0

    def run(self) -> None:
        limit = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < limit and any(map(_lives, self._processes)):
            time.sleep(0.005)
        self.time = time.monotonic()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def running(server: Server) -> list[str]:
    return [job.id for job in JobStore(server.home).list("queued", "running")]


def test_a_conversation_from_the_question_to_the_number(visitor: Visitor) -> None:
    assert visitor.page.locator(".starter").count() == 4
    visitor.say(TRAIN)
    question = visitor.see(".question.open")
    assert "not known" in question.inner_text()
    visitor.do("approve")
    visitor.see(".step.done", "Train a model")
    answer = visitor.see(".reply", "Trained")
    fact = answer.locator(".fact").first
    fact.focus()  # by keyboard as well as by mouse
    tip = fact.locator(".tip")
    expect(tip).to_be_visible()
    visitor.picture("chat-number")
    assert "run train-2a2a2a" in tip.inner_text()
    assert "measurements" in tip.inner_text()
    assert "session=chat-" in visitor.page.url
    fact.click()
    expect(visitor.page.get_by_role("tab", name="Runs")).to_have_attribute("aria-selected", "true")
    expect(visitor.page.locator(".lw-run").first).to_contain_text("train-2a2a2a")
    visitor.page.get_by_role("tab", name="Chat").click()
    expect(visitor.page.locator("#session-list .current")).to_contain_text(TRAIN)


def test_the_whole_way_from_hello_to_a_smaller_model(visitor: Visitor) -> None:
    visitor.say("Hello")
    visitor.see(".reply")
    visitor.say(WHOLE)
    visitor.see(".question.open")
    visitor.do("approve_all")
    for step in ("Train a model", "Score the layers", "Plan which layers go", "Compress the model"):
        visitor.see(".step.done", step)
    visitor.see(".reply", "compression-")
    for run, count in (("train-2a2a2a", 1), ("analysis-3b3b3b", 4), ("plan-4c4c4c", 3), ("compression-5d5d5d", 2)):
        shown = visitor.page.locator(f".pictures[data-run={run}]")
        shown.scroll_into_view_if_needed()
        expect(shown.locator(".js-plotly-plot")).to_have_count(count)
    values = visitor.page.locator(".pictures[data-run=plan-4c4c4c] .numbers").first
    values.locator("summary").click()
    assert values.locator("tbody tr").count() == 6  # of the tower: a row a layer
    visitor.say("Write a report")
    visitor.see(".step.done", "Write a report")
    link = visitor.see(".reply a", "compression-").get_attribute("href")
    report = httpx.get(f"{visitor.address}{link}")
    assert (report.status_code, "compression-5d5d5d" in report.text) == (200, True)
    assert httpx.get(f"{visitor.address}/reports/..%2Fsessions%2Fsessions.sqlite").status_code == 404
    visitor.picture("chat")


@pytest.mark.parametrize(("options", "processes"), [("", 1), ("child=far deaf=1", 2)])
def test_stop_ends_the_job_within_two_seconds_and_sends_nothing_that_waits(
    server: Server, visitor: Visitor, tmp_path: Path, options: str, processes: int
) -> None:
    """Also a worker that hears nothing, and what it started in a session of its own."""
    ledger = tmp_path / "ledger"
    visitor.say(counting(ledger, 400, options))
    visitor.see(".question.open")
    visitor.do("approve")
    visitor.see(".step.running", "counting")
    bar = visitor.page.locator(".step.running progress")
    expect(bar).to_be_visible()
    visitor.say("and then?")
    visitor.see(".said.waiting", "and then?")
    visitor.picture("chat-progress")
    (job,) = JobStore(server.home).list("running")
    worker = psutil.Process(job.worker.pid)
    family = [worker, *worker.children(recursive=True)]
    assert len(family) == processes
    death = Death(family)
    death.start()
    stop = visitor.page.locator("[data-do=stop]")
    stop.evaluate("button => button.addEventListener('click', () => window.clicked = Date.now(), {once: true})")
    stop.click()
    death.join()
    took = time.time() - (time.monotonic() - death.time) - visitor.page.evaluate("window.clicked") / 1000
    print(f"TOOK {took:.2f}")
    assert 0 < took < 2, f"{took:.2f} s"
    visitor.see(".notice.stopped")
    visitor.see(".step.stopped")
    visitor.see(".said.kept", "and then?")
    assert running(server) == []


def test_a_message_waits_for_the_end_of_the_one_before(visitor: Visitor) -> None:
    visitor.say("stream " + "slowly " * 40)  # long enough for the next to be seen waiting
    expect(visitor.page.locator("#message textarea")).to_have_value("")  # nobody types the next one sooner
    visitor.say("stream second")
    visitor.see(".said.waiting", "stream second")
    visitor.see(".reply", "second")
    texts = visitor.page.locator("[role=log] .bubble, [role=log] .reply .prose").all_inner_texts()
    assert [text.split()[0] for text in texts] == ["stream", "slowly", "stream", "second"]


def test_a_reload_in_the_middle_of_a_job_shows_it_going_on_and_its_curve(
    server: Server, visitor: Visitor, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    visitor.say(counting(ledger, 100))
    visitor.see(".question.open")
    visitor.do("approve")
    visitor.see(".step.running", "counting")
    run = until(lambda: noted(ledger, "kept"))[0][0]
    with SummaryWriter(RunStore(server.home, embedder_folder=None).folder(run) / "tensorboard") as board:
        board.add_scalar("train/loss", 0.5, 1)
    visitor.see(".pictures.live .js-plotly-plot")
    visitor.page.reload()
    visitor.see(".step.running", "counting")
    visitor.see(".reply", "The tool said")
    visitor.see(".step.done")


def test_after_a_restart_a_job_is_followed_on_and_a_question_waits_on(
    server: Server, visitor: Visitor, visit: Any, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    visitor.say(counting(ledger, 600))
    visitor.see(".question.open")
    visitor.do("change")
    visitor.page.locator(".values input").last.fill("seed=7")
    visitor.page.keyboard.press("Enter")
    visitor.see(".step.running", "counting")
    at_work = visitor.page.url
    other = visit(server).new()
    other.say(TRAIN)
    other.see(".question.open")
    asking = other.page.url
    server.kill()
    server.start()
    server.ready()
    visitor.page.goto(at_work)
    visitor.see(".step.running", "counting")
    visitor.page.locator("[data-do=stop]").click()
    visitor.see(".notice.stopped")
    assert running(server) == []
    assert [words[0] for words in noted(ledger, "begin")] == ["7"]  # once, as it was changed
    other.page.goto(asking)
    other.see(".question.open", "Train a model")
    other.do("refuse")
    other.see(".step.refused")
    other.see(".reply")


def test_nothing_that_was_written_is_executed_or_loaded(visitor: Visitor) -> None:
    visitor.say(NASTY)
    bubble = visitor.see(".bubble", "<script>")
    assert bubble.inner_text() == NASTY
    visitor.say(f"stream {NASTY}")
    visitor.see(".reply", "<script>")
    expect(visitor.page.locator("#session-list .current")).to_contain_text("<script>")
    assert visitor.page.evaluate("window.hit") is None


def test_bad_input_is_answered_and_nothing_is_lost(visitor: Visitor) -> None:
    visitor.say("   ")
    expect(visitor.page.locator(".toast-body")).to_contain_text("the message is empty")
    visitor.say("x" * 100_000)
    expect(visitor.page.locator(".toast-body").filter(has_text="100,000 characters")).to_be_visible()
    expect(visitor.page.locator("#message textarea")).to_have_value("x" * 100_000)
    visitor.say("fail")
    visitor.see(".notice.failed", "start the server")


def test_the_last_message_is_answered_again_or_changed_and_no_run_is_made_twice(
    server: Server, visitor: Visitor
) -> None:
    visitor.say(TRAIN)
    visitor.see(".question.open")
    visitor.do("approve")
    visitor.see(".reply", "Trained")
    jobs = len(JobStore(server.home).list())
    log = visitor.page.locator("[role=log]")
    expect(log.locator(".reply footer")).to_be_visible()  # it is whole
    before = log.locator(".reply").inner_text()
    visitor.do("again")
    expect(log.locator(".question")).to_have_count(0)
    expect(log.locator(".reply")).to_have_text(before, use_inner_text=True)
    assert len(JobStore(server.home).list()) == jobs
    log.locator("footer [data-do=edit]").click()  # by keyboard from here
    visitor.page.keyboard.press("Control+A")
    visitor.page.keyboard.type("stream something else")
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    visitor.see(".reply", "something else")
    assert log.locator(".said .bubble, .reply .prose").all_inner_texts() == ["stream something else", "something else"]
    visitor.page.reload()
    visitor.see(".reply", "something else")
    expect(log.locator(".said")).to_have_count(1)


def test_sessions_are_searched_renamed_deleted_and_continued(visitor: Visitor) -> None:
    visitor.say("stream something about walruses")
    visitor.see(".reply", "walruses")
    visitor.new()
    visitor.say("stream something else")
    visitor.see(".reply", "something else")
    visitor.page.locator("#search textarea, #search input").fill("walruses")
    listed = visitor.page.locator("#session-list li")
    expect(listed).to_have_count(1)
    listed.locator(".open").click()
    visitor.see(".reply", "walruses")
    visitor.page.once("dialog", lambda dialog: dialog.accept("about animals"))
    visitor.page.locator("#session-list [data-do=rename]").click()
    expect(listed).to_contain_text("about animals")
    visitor.page.once("dialog", lambda dialog: dialog.accept())
    visitor.page.locator("#session-list [data-do=delete]").click()
    expect(visitor.page.locator("#session-list .empty")).to_be_visible()


def test_two_users_do_not_see_each_others_sessions(guarded: Server, visit: Any) -> None:
    alice = visit(guarded, user="alice:one")
    alice.say("stream mine alone")
    alice.see(".reply", "mine alone")
    bob = visit(guarded, user="bob:two")
    expect(bob.page.locator(".welcome")).to_be_visible()
    expect(bob.page.locator("#session-list .empty")).to_be_visible()
    bob.page.goto(alice.page.url)
    expect(bob.page.locator(".welcome")).to_be_visible()
    assert "mine alone" not in bob.page.content()


def test_nobody_sees_anything_before_signing_in_and_other_sites_may_not_ask(server: Server, guarded: Server) -> None:
    with httpx.Client(base_url=guarded.ready()) as client:
        for path in ("/", "/zh/", "/config", "/gradio_api/info", "/gradio_api/runs", "/gradio_api/queue/data"):
            assert client.get(path).status_code == 401
        assert client.get("/config", auth=("alice", "one")).status_code == 200
        assert client.get("/config", auth=("alice", "two")).status_code == 401
    with httpx.Client(base_url=server.ready()) as client:
        join = "/gradio_api/queue/join"
        assert client.post(join, headers={"Origin": "http://elsewhere.invalid"}, json={}).status_code == 403
        assert client.post(join, headers={"Origin": server.address}, json={}).status_code != 403


def test_a_server_of_which_nobody_wants_anything_rests(guarded: Server) -> None:
    guarded.ready()
    process = psutil.Process(guarded.process.pid)
    woken: list[int] = []  # times in a second
    while len(woken) < 30 and min(woken, default=1000) > 400:  # at first it loads what a message will need
        before = process.num_ctx_switches().voluntary
        time.sleep(1)
        woken.append(process.num_ctx_switches().voluntary - before)
    assert min(woken) <= 400, woken


def test_the_page_speaks_chinese(server: Server, visit: Any) -> None:
    visitor = visit(server, "/zh/").new()
    expect(visitor.page.get_by_role("tab", name="对话")).to_be_visible()
    visitor.say("用亚马逊演示评论训练 minilm")
    assert "可以执行吗" in visitor.see(".question.open").inner_text()
    visitor.do("approve")
    visitor.see(".step.done", "训练模型")


def test_the_keyboard_alone_is_enough(visitor: Visitor) -> None:
    """From the first message to a pinned run and back, and through every tab."""
    page = visitor.page
    reach(page, "#message textarea")
    page.keyboard.type(TRAIN)
    page.keyboard.press("Enter")
    visitor.see(".question.open")
    reach(page, "[data-do=approve]")
    page.keyboard.press("Enter")
    visitor.see(".reply footer")
    reach(page, ".reply .fact")
    expect(page.locator(".reply .fact:focus .tip")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator(".lw-run pre")).to_contain_text("train-2a2a2a")
    reach(page, "button", "Pin")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()
    reach(page, "button", "Unpin")
    page.keyboard.press("Space")
    for name in ("Jobs", "Models and data", "Settings", "Chat"):
        reach(page, "[role=tab]", name)
        page.keyboard.press("Enter")
        expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
    reach(page, "[data-do=edit]")
    reach(page, "#new")
    page.keyboard.press("Enter")
    visitor.see(".welcome")


def reach(page: Any, selector: str, text: str = "") -> None:
    """Tab until the focus is there."""
    wanted = "([selector, text]) => { const a = document.activeElement; return a.matches(selector) && a.checkVisibility() && (!text || a.innerText.trim() === text); }"
    for _ in range(150):
        if page.evaluate(wanted, [selector, text]):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {selector} {text}")


def test_it_is_usable_at_the_width_of_a_phone_and_accessible(visitor: Visitor) -> None:
    page = visitor.page
    page.set_viewport_size({"width": 375, "height": 812})
    page.add_style_tag(content="* { transition: none !important }")  # colours are looked at, not on their way
    everywhere(visitor, "welcome")
    visitor.say(TRAIN)
    visitor.see(".question.open")
    visitor.do("change")
    everywhere(visitor, "question")
    visitor.do("approve")
    visitor.see(".reply", "Trained")
    expect(page.locator(".picture .js-plotly-plot")).to_have_count(1)
    page.locator(".picture .numbers summary").click()
    page.locator("footer [data-do=edit]").click()
    everywhere(visitor, "picture")
    visitor.say("stream **bold** and a [link](http://elsewhere.invalid) and `code`")
    visitor.see(".reply a")
    everywhere(visitor, "markdown")
    page.set_viewport_size({"width": 1280, "height": 800})


def everywhere(visitor: Visitor, name: str) -> None:
    """Nothing is cut off, and axe-core finds nothing that is serious, neither in light nor in dark."""
    assert visitor.page.evaluate("document.documentElement.scrollWidth") <= 375
    for colours in ("dark", "light"):
        visitor.page.emulate_media(color_scheme=colours)
        visitor.page.evaluate("dark => document.body.classList.toggle('dark', dark)", colours == "dark")
        visitor.picture(f"chat-phone-{name}-{colours}")
        violations(visitor.page)


def violations(page: Any) -> None:
    """axe-core finds nothing that is serious."""
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in serious] == []
