"""The tabs beside the chat as a visitor sees them. One server for all, and few visitors: each costs a second or two."""

import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe

from agent.ui.uploads import LARGEST
from analyzers.records import TrainRequest
from tests.agent.ui.panels.conftest import Site
from tests.fake_jobs import COMMAND, until
from tests.sample_runs import analysis_run, evaluation_run, train_run
from tools.jobs import JobStore, processes, submit

EVIL = "<img src=x onerror=alert(1)>${alert(2)}{{value}}"


def tab(page: Any, name: str, there: str) -> Any:
    page.get_by_role("tab", name=name).click()
    page.locator(there).first.wait_for()
    return page


def listed(page: Any) -> list[str]:
    return page.locator(".lw-runs button").all_inner_texts()


def open_run(page: Any, run: str) -> None:
    page.locator(f'.lw-runs button[data-pick="{run}"]').click()
    page.locator(".lw-run pre", has_text=run).wait_for()


def told(page: Any, text: str) -> None:
    """A message that stays until it is closed; it is closed."""
    page.get_by_test_id("toast-text").filter(has_text=text).wait_for()
    page.get_by_test_id("toast-close").last.click()


def test_runs_are_found_by_field_and_by_words(page: Any):
    runs = tab(page, "Runs", ".lw-runs button")
    assert listed(runs)[:2] == ["compression-5d5d5d", "plan-4c4c4c"]  # the newest first
    runs.get_by_label("Search in words").fill("compressed model with healing")
    runs.get_by_label("Search in words").press("Enter")
    runs.get_by_text("Runs, the nearest in meaning first").wait_for()
    assert "compression-5d5d5d" in listed(runs)
    runs.get_by_label("Search in words").fill("")
    runs.get_by_label("Kind").click()
    runs.get_by_role("option", name="plan").click()
    runs.wait_for_function("document.querySelectorAll('.lw-runs button').length === 1")
    assert listed(runs) == ["plan-4c4c4c"]
    runs.get_by_label("Model", exact=True).fill("no-such-model")
    runs.get_by_role("button", name="Find").click()
    runs.get_by_text("No run fits. Take a filter away.").wait_for()


def test_a_run_opens_with_its_pictures_and_their_values_and_beside_another(page: Any):
    runs = tab(page, "Runs", ".lw-runs button")
    open_run(runs, "analysis-3b3b3b")
    runs.locator(".js-plotly-plot").nth(3).wait_for()
    assert runs.locator("h3").all_inner_texts() == [
        "Score of each layer", "Rank of each layer", "Agreement of the methods", "Deletion curves",
    ]  # fmt: skip
    runs.get_by_role("button", name="Rank of each layer: the values as a table").press("Enter")  # by keyboard
    table = runs.locator("table", has_text="rank by consensus").last
    table.wait_for()
    assert table.locator("tbody tr").count() == 6
    field = runs.get_by_label("Open one, or compare up to four")
    field.fill("analysis-8h8h8h")
    field.press("Enter")
    runs.get_by_text("Side by side: rank of layers 0, 1, ...").wait_for()
    assert runs.get_by_role("button", name="Delete", exact=True).is_hidden()  # of one run alone


def test_a_run_is_tagged_pinned_and_packed(page: Any, site: Site, tmp_path: Path):
    runs = tab(page, "Runs", ".lw-runs button")
    open_run(runs, "analysis-3b3b3b")
    runs.get_by_label("Tags of this run").fill("Baseline v2")
    runs.get_by_role("button", name="Save tags").click()
    runs.locator(".lw-run pre", has_text="tags    baseline, v2").wait_for()
    runs.get_by_label("Tags of this run").fill("two,words! v2")
    runs.get_by_role("button", name="Save tags").click()
    told(runs, "'two,words!' cannot be a tag")
    runs.get_by_role("button", name="Pin", exact=True).click()
    runs.get_by_role("button", name="Unpin").wait_for()
    kept = site.workspace.runs.labels("analysis-3b3b3b")
    assert (kept.tags, kept.pinned) == (("baseline", "v2"), True)
    runs.get_by_role("button", name="Pack an archive").click()
    with runs.expect_download() as started:
        runs.locator("a[download]").first.click()
    started.value.save_as(tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        assert archive.testzip() is None
        assert {"record.json", "labels.json", "checksums.txt"} <= set(archive.namelist())
    runs.get_by_role("button", name="Delete", exact=True).click()
    runs.get_by_role("button", name="Delete it alone").click()
    told(runs, "analysis-3b3b3b is pinned and nothing was deleted")
    runs.get_by_label("Tags, separated by spaces").fill("baseline")
    runs.get_by_label("Only pinned").check()
    runs.wait_for_function("document.querySelectorAll('.lw-runs button').length === 1")
    assert listed(runs) == ["analysis-3b3b3b"]


def test_runs_that_leave_and_runs_that_lie(page: Any, site: Site):
    store = site.workspace.runs
    store.save(train_run(run_id="train-9j9j9j"))
    store.save(evaluation_run(run_id="evaluation-9k9k9k", parents=["train-9j9j9j"]))
    store.save(analysis_run(run_id="analysis-9m9m9m", parents=[]))
    store.save(train_run(run_id="train-9n9n9n", model=EVIL, data=EVIL, error=EVIL, status="failed", result=None))
    runs = tab(page, "Runs", ".lw-runs button")
    open_run(runs, "train-9n9n9n")  # the fixture fails where anything of it runs
    assert runs.locator(".lw-runs tr", has_text="train-9n9n9n").locator("td").nth(4).inner_text() == EVIL
    assert f"error   {EVIL}" in runs.locator(".lw-run pre").inner_text()
    store.delete("analysis-9m9m9m")  # by somebody else
    runs.locator('.lw-runs button[data-pick="analysis-9m9m9m"]').click()
    runs.get_by_role("alert").filter(has_text="no run 'analysis-9m9m9m'").wait_for()
    open_run(runs, "train-9j9j9j")
    runs.get_by_role("button", name="Delete", exact=True).click()
    runs.get_by_text("Delete train-9j9j9j and its files for good? These came from it: evaluation-9k9k9k.").wait_for()
    runs.get_by_role("button", name="Keep it").click()
    runs.get_by_role("button", name="Keep it").wait_for(state="hidden")
    runs.get_by_role("button", name="Delete", exact=True).click()
    runs.get_by_role("button", name="Delete it and what came from it").click()
    runs.get_by_text("deleted evaluation-9k9k9k, train-9j9j9j").wait_for()
    left = {run.id for run in store.list()}
    assert not {"train-9j9j9j", "evaluation-9k9k9k"} & left
    assert "train-9n9n9n" in left
    store.delete("train-9n9n9n")


def test_a_job_is_followed_stopped_and_taken_up_again(
    page: Any, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processes, "COMMAND", COMMAND)
    wanted = TrainRequest(model="fake", data=f"steps=400 pause=0.05 ledger={tmp_path / 'ledger'}")
    job = submit(wanted, site.workspace)
    store = JobStore(site.workspace.home)
    jobs = tab(page, "Jobs", ".lw-jobs button")
    jobs.locator(f'.lw-jobs button[data-pick="{job.id}"]').press("Enter")
    bar = jobs.locator(".lw-job progress")
    bar.wait_for()
    first = float(bar.get_attribute("value"))
    jobs.wait_for_function("first => document.querySelector('.lw-job progress')?.value > first", arg=first)  # by itself
    jobs.locator(".lw-job p", has_text="counting: ").wait_for()
    jobs.get_by_role("button", name="Cancel").click()
    jobs.locator(".lw-job pre", has_text="cancelled").wait_for()
    assert store.get(job.id).status == "cancelled"
    jobs.get_by_role("button", name="Resume").click()
    jobs.locator(".lw-job pre", has_text="running").wait_for()
    until(lambda: store.get(job.id).attempt == 2)
    jobs.get_by_role("button", name="Cancel").click()
    jobs.get_by_role("button", name="Resume").wait_for()
    assert "threads" in jobs.locator(".lw-log pre").inner_text()


def send(page: Any, path: Path) -> None:
    page.locator("input[type=file]").set_input_files(path)


def test_data_is_looked_into_before_it_is_used(page: Any, site: Site, tmp_path: Path):
    rows = [(f"text {i} {'fine' if i % 3 else EVIL}", "<b>good</b>" if i % 3 else "bad") for i in range(60)]
    table = pd.DataFrame(rows, columns=["text", "label"])
    sources = tab(page, "Models and data", ".lw-data p")
    table.to_csv(tmp_path / "..my reviews.csv", index=False)
    send(sources, tmp_path / "..my reviews.csv")
    sources.locator(".lw-data td", has_text="<b>good</b>").first.wait_for()
    assert sources.locator(".lw-data table").nth(1).locator("td").first.inner_text() == f"text 0 {EVIL}"
    named = sources.locator(".lw-reference").locator("input, textarea").first.input_value()
    kept = Path(named.removeprefix("csv:"))
    assert kept.parent == site.workspace.home / "data"
    assert kept.name.startswith("my_reviews-")
    assert kept.read_bytes() == (tmp_path / "..my reviews.csv").read_bytes()
    sources.locator(".js-plotly-plot").nth(1).wait_for()  # classes and lengths
    for name, content, message in (
        (
            "really.csv",
            (tmp_path / "..my reviews.csv").read_bytes() + b"\0" * 9,
            "really.csv is not CSV by its content",
        ),
        ("zip.jsonl", b"PK\x03\x04 and so on", "zip.jsonl is not JSONL by its content but a zip archive"),
        ("text.parquet", b"text,label", "text.parquet is not Parquet by its content"),
        ("one.csv", b"text,label\na b,x\n", "one.csv has one class only ('x')"),
        ("empty.csv", b"", "empty.csv is empty"),
    ):
        sources.locator(".lw-sent").get_by_role("button", name="Clear").last.click()
        (tmp_path / name).write_bytes(content)
        send(sources, tmp_path / name)
        told(sources, message)
    assert [path.name for path in (site.workspace.home / "data").iterdir()] == [kept.name]  # nothing else was kept
    # What is larger is refused by the browser and by the server before it is sent.
    assert sources.evaluate("window.gradio_config.max_file_size") == LARGEST
    field = sources.get_by_label("Or a path or a name")
    field.fill(f"csv:{tmp_path / 'nowhere.csv'}")
    field.press("Enter")
    told(sources, "no file")


def test_models_are_described_before_they_are_used(page: Any, site: Site):
    sources = tab(page, "Models and data", ".lw-model p")
    field = sources.get_by_label("Or a path, a name or a run")
    for name, shown in (
        ("compression-5d5d5d", "without 1-3"),
        ("demo:minilm", "6 layers"),
        ("org/name", "needs the network"),
    ):
        field.fill(name)
        field.press("Enter")
        sources.locator(".lw-model td", has_text=shown).wait_for()
    for name, message in (
        ("plan-4c4c4c", "made no model"),
        ("../nowhere", "no folder '../nowhere'"),
        ("<b>", "no model '<b>'"),
    ):
        field.fill(name)
        field.press("Enter")
        told(sources, message)


def test_the_tabs_pass_axe_and_fit_a_phone(page: Any):
    """All tabs have something to show by then; `test_page.py` looks at the chat."""
    for name, there in (
        ("Runs", ".lw-runs button"),
        ("Jobs", ".lw-jobs p, .lw-jobs button"),
        ("Models and data", ".lw-data p"),
        ("Settings", ".lw-languages a"),
    ):
        tab(page, name, there)
        if name == "Runs":
            open_run(page, "analysis-3b3b3b")
            page.locator(".js-plotly-plot").nth(3).wait_for()
        found = Axe().run(page).response["violations"]
        assert [
            (each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in ("serious", "critical")
        ] == []
    page.set_viewport_size({"width": 375, "height": 800})
    tab(page, "Runs", ".lw-runs button")
    assert page.evaluate("document.documentElement.scrollWidth") == 375


def test_the_language_model_and_the_language(page: Any, site: Site):
    settings = tab(page, "Settings", ".lw-languages a")
    field = settings.get_by_label("Language model of the chat")
    field.fill("<b>nonsense</b>")
    field.press("Enter")
    told(settings, "no language model '<b>nonsense</b>'")
    field.fill("offline")
    field.press("Enter")
    settings.get_by_role("button", name="Use it in my chats").click()
    settings.get_by_text("Your chats use offline from the next message on.").wait_for()
    settings.locator(".lw-llm td", has_text="needs no grade").wait_for()
    settings.get_by_role("button", name="Look at this machine").click()
    settings.get_by_role("cell", name=str(site.workspace.home), exact=True).wait_for()
    settings.get_by_role("link", name="简体中文").click()
    settings.get_by_role("tab", name="运行记录").click()
    settings.locator(".lw-runs caption", has_text="最新的在前").wait_for()
