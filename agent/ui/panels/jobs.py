"""The tab "Jobs": what runs in processes of its own, with its progress, its log and the curve of its training."""

import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
import plotly.graph_objects as go

from agent.ui.failures import on_page
from agent.ui.html import block, lines, paragraph, progress, table
from agent.ui.page import Page
from agent.ui.pictures import on_white, plot
from analyzers.errors import LayerwiseError, UnknownJob
from tools.figures import Picture, live_curve, translated
from tools.jobs import Job, cancel, resume
from tools.wording import duration, took

TICK = 1.5  # seconds between two looks of the page
CURVE = 5  # seconds between two readings of a curve
Seen = dict[str, str]
LOG = 20_000  # bytes at the end of a log that are shown


def build(page: Page) -> gr.Timer:
    """Put the tab where the page is being built.

    Returns:
        What looks again and again, to be active only while the tab is open.
    """
    panel = _Panel(page)
    timer = gr.Timer(TICK, active=False)
    listing = block(elem_classes="lw-jobs")
    chosen = gr.State("")
    seen = gr.State({})  # what the page shows of each part
    detail = block(paragraph(panel.say("nothing")), elem_classes="lw-job")
    with gr.Row(visible=False) as actions:
        stop = gr.Button(panel.say("cancel"), variant="stop", size="sm")
        again = gr.Button(panel.say("resume"), size="sm")
    curve = plot(visible=False)
    log = block(elem_classes="lw-log")

    shown = [seen, listing, detail, actions, stop, again, curve, log]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    tab = gr.context.Context.block  # the tab that this is built in: looked at from then on
    if isinstance(tab, gr.Tab):
        tab.select(panel.look, [chosen, seen], shown, **quiet)
    timer.tick(panel.look, [chosen, seen], shown, concurrency_limit=None, **quiet)
    listing.click(panel.picked, None, chosen, **quiet)
    chosen.change(panel.look, [chosen, seen], shown, **quiet)
    stop.click(panel.cancel, [chosen, seen], shown, api_visibility="private")
    again.click(panel.resume, [chosen, seen], shown, api_visibility="private")
    return timer


class _Panel:
    """What the events of the tab do: they ask the list of jobs and put the answer into words."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def say(self, key: str, **values: object) -> str:
        return self._page.say(f"jobs.{key}", **values)

    def picked(self, event: gr.EventData) -> Any:
        return str(event.picked) if getattr(event, "picked", None) else gr.skip()

    def look(self, chosen: str, seen: Seen) -> tuple[Any, ...]:
        """What changed since the page was last told, in the order of `shown`; the rest stays as it is."""
        with on_page():
            listing = self._listing(self._page.watch.jobs())
            job = self._chosen(chosen)
            detail = self._detail(job) if job else paragraph(self.say("gone" if chosen else "nothing"))
            drawn, curve = self._curve(job)
            log = self._log(job) if job else ""
        now = {"listing": listing, "detail": detail, "status": job.status if job else "", "curve": drawn, "log": log}
        new = {part for part, value in now.items() if seen.get(part) != value}
        return (
            now,
            listing if "listing" in new else gr.skip(),
            detail if "detail" in new else gr.skip(),
            *(self._buttons(job) if "status" in new else [gr.skip()] * 3),
            gr.Plot(curve, visible=curve is not None) if "curve" in new else gr.skip(),
            log if "log" in new else gr.skip(),
        )

    def cancel(self, chosen: str, seen: Seen) -> tuple[Any, ...]:
        with on_page():
            cancel(chosen, self._page.workspace)
            self._page.watch.jobs(now=True)
        return self.look(chosen, seen)

    def resume(self, chosen: str, seen: Seen) -> tuple[Any, ...]:
        with on_page():
            resume(chosen, self._page.workspace)
            self._page.watch.jobs(now=True)
        return self.look(chosen, seen)

    def _chosen(self, name: str) -> Job | None:
        try:
            return self._page.watch.job(name) if name else None
        except UnknownJob:
            return None

    def _listing(self, jobs: list[Job]) -> str:
        """Without what changes every moment: the button that somebody stands on would be taken away."""
        if not jobs:
            return paragraph(self.say("none"))
        rows = [
            [
                job.id,
                self._page.translated(job.status),
                f"{job.created:%Y-%m-%d %H:%M}",
                took(job.seconds) if job.over else "",
                job.command.removeprefix("layerwise "),
            ]
            for job in jobs
        ]
        header = self.say("header").split(", ")
        return table(header, rows, self.say("listed"), picks=[job.id for job in jobs])

    def _detail(self, job: Job) -> str:
        parts = [
            f"{job.id}  {self._page.translated(job.status)}  {took(job.seconds)}".rstrip(),
            job.command,
            *job.messages,
        ]
        if job.error:
            parts.append(job.error)
        if job.run:
            parts.append(job.run)
        bar = ""
        if job.status == "queued":
            bar = paragraph(self.say("waits"))
        elif job.status == "running" and (step := job.progress):
            words = self.say("step", step=self._page.translated(step.step), done=step.done, total=step.total)
            if step.seconds_left is not None:
                words = self.say("left", step=words, left=duration(step.seconds_left))
            bar = progress(step.fraction, words)
        return bar + lines("\n".join(parts), self.say("about", job=job.id))

    def _buttons(self, job: Job | None) -> list[Any]:
        """Their row, and those that fit."""
        if job is None:
            return [gr.Row(visible=False), gr.skip(), gr.skip()]
        unfinished = job.over and job.status != "done"
        return [gr.Row(visible=job.status != "done"), gr.Button(visible=not job.over), gr.Button(visible=unfinished)]

    def _curve(self, job: Job | None) -> tuple[str, go.Figure | None]:
        """Of a training or a healing, and what tells it from an earlier one; what cannot be drawn is not."""
        try:
            folder = self._page.workspace.runs.folder(job.run) if job and job.run else None
            tick = 0 if job is None or job.over else int(time.monotonic() // CURVE)
            return _curve(folder, tick, self._page.language) if folder else ("", None)
        except LayerwiseError:
            return "", None

    def _log(self, job: Job) -> str:
        try:
            with job.log.open("rb") as file:
                file.seek(max(0, job.log.stat().st_size - LOG))
                said = file.read().decode(errors="replace")
        except OSError:
            said = ""
        return lines(said.strip() or self.say("no_log"), self.say("log", job=job.id))


@lru_cache(maxsize=16)
def _curve(folder: Path, _tick: int, language: str) -> tuple[str, go.Figure | None]:
    """Read once for all who look within the same few seconds: the file is not written more often."""
    found = live_curve(folder)
    if found is None:
        return "", None
    figure, values = found
    return str((folder, values)), on_white(translated(Picture("training", "", "", figure, values), language).figure)
