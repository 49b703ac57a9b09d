"""The tab "Runs": what was done, found again, opened with its pictures, compared, labelled, packed and deleted."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import gradio as gr

from agent.histories import LISTED, about, compared, line_of, short
from agent.summaries import summary
from agent.ui import pictures
from agent.ui.failures import on_page
from agent.ui.html import block, lines, paragraph, table, text
from agent.ui.page import Page
from analyzers.errors import UnknownRun
from analyzers.records import Kind, Run
from knowledge.comparison import compare
from tools import figures
from tools.facts import facts

SHOWN = 30  # runs in the list
COMPARED = 4


def build(page: Page) -> gr.Dropdown:
    """Put the tab where the page is being built.

    Returns:
        What holds the ids of the runs that are shown.
    """
    panel = _Panel(page)
    say = panel.say
    with gr.Row(equal_height=True):
        kinds = [(page.translated(kind), kind) for kind in get_args(Kind)]
        kind = gr.Dropdown([(say("any"), ""), *kinds], value="", label=say("kind"), min_width=120)
        model = gr.Textbox(label=say("model"), max_length=500, min_width=140)
        said = gr.Textbox(label=say("text"), max_length=2000, min_width=180)
        tags = gr.Textbox(label=say("tags"), max_length=500, min_width=140)
        pinned = gr.Checkbox(label=say("pinned"), min_width=100)
    find = gr.Button(say("find"), size="sm")
    listing = block(elem_classes="lw-runs")
    chosen = gr.Dropdown(
        [], value=[], multiselect=True, max_choices=COMPARED, allow_custom_value=True, label=say("chosen")
    )
    detail = block(paragraph(say("nothing")), elem_classes="lw-run")
    with gr.Column(visible=False) as actions:
        with gr.Row(equal_height=True):
            pin = gr.Button(say("pin"), size="sm")
            archive = gr.Button(say("archive"), size="sm")
            delete = gr.Button(say("delete"), size="sm", variant="stop")
        with gr.Row(equal_height=True):
            tagged = gr.Textbox(label=say("tag"), info=say("tag_info"), max_length=500, scale=4)
            save = gr.Button(say("save_tags"), size="sm", scale=1)
        packed = gr.File(label=say("archive_file"), visible=False, interactive=False)
    with gr.Column(visible=False) as asking:
        question = block()
        with gr.Row():
            alone = gr.Button(say("really"), variant="stop", size="sm")
            everything = gr.Button(say("really_all"), variant="stop", size="sm", visible=False)
            keep = gr.Button(say("keep"), size="sm")
    drawn = gr.State(())

    filters = [kind, model, said, tags, pinned]
    opened = [detail, actions, pin, tagged, packed, asking, drawn]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    gr.on([find.click, *(each.submit for each in (model, said, tags)), kind.input, pinned.input],
          panel.find, filters, [listing, chosen], **quiet)  # fmt: skip
    tab = gr.context.Context.block  # the tab that this is built in: it is filled when it is first looked at
    if isinstance(tab, gr.Tab):
        tab.select(panel.find, filters, [listing, chosen], **quiet)
    listing.click(panel.picked, None, chosen, **quiet)
    chosen.change(panel.open, chosen, opened, **quiet)
    pin.click(panel.pin, chosen, opened, **quiet)
    save.click(panel.tag, [chosen, tagged], opened, **quiet)
    archive.click(panel.pack, chosen, packed, api_visibility="private")
    delete.click(panel.ask, chosen, [asking, question, alone, everything], **quiet)
    keep.click(lambda: gr.Column(visible=False), None, asking, **quiet)
    for button, delete_it in ((alone, panel.delete), (everything, panel.delete_all)):
        button.click(delete_it, chosen, [chosen, asking], **quiet).success(
            panel.find, filters, [listing, chosen], **quiet
        )

    def draw(names: tuple[str, ...]) -> None:
        for picture in panel.pictures(names):
            pictures.show(picture, page)

    gr.render(inputs=drawn, triggers=[drawn.change])(draw)
    return chosen


class _Panel:
    """What the events of the tab do: they ask the run history and put the answer into words."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._store = page.workspace.runs

    def say(self, key: str, **values: object) -> str:
        return self._page.say(f"runs.{key}", **values)

    def find(self, kind: str, model: str, text: str, tags: str, pinned: bool) -> tuple[str, Any]:
        """The list, and the choices that follow from it."""
        with on_page():
            wanted: dict[str, Any] = {
                "kind": kind or None,
                "tags": tuple(tags.lower().split()),
                "pinned": pinned or None,
            }
            found = self._found(text.strip(), model.strip(), wanted)
            labels = self._store.labels_of(found)
            filtered = bool(kind or model.strip() or text.strip() or tags.strip() or pinned)
            if not found:
                return paragraph(self.say("none_fits" if filtered else "none")), gr.Dropdown(choices=[])
            rows = [[*line_of(run), short(labels.get(run.id))] for run in found]
            ids = [run.id for run in found]
            caption = self.say("found" if text.strip() else "listed")
            return self._table([*LISTED, "labels"], rows, caption, ids), gr.Dropdown(choices=ids)

    def _found(self, text: str, model: str, wanted: dict[str, Any]) -> list[Run]:
        """By the model at the start of the lineage, else by the model that was given."""
        for name in ("base_model", "model") if model else ("model",):
            filters = {**wanted, name: model or None}
            if text:
                found = [hit.run for hit in self._store.search(text, limit=SHOWN, **filters)]
            else:
                found = self._store.list(limit=SHOWN, **filters)
            if found:
                return found
        return []

    def picked(self, event: gr.EventData) -> Any:
        """A run was clicked in the list."""
        return gr.Dropdown(value=[str(event.picked)]) if getattr(event, "picked", None) else gr.skip()

    def open(self, names: list[str]) -> tuple[Any, ...]:
        """One run, or several side by side; in the order of `opened`."""
        names = [str(each) for each in names or []][:COMPARED]
        hidden = gr.Column(visible=False)
        unpacked = gr.File(value=None, visible=False)
        nothing = (gr.skip(), gr.skip(), unpacked, hidden)
        if not names:
            return paragraph(self.say("nothing")), hidden, *nothing, ()
        try:
            runs = [self._store.get(name) for name in names]
        except UnknownRun as problem:  # deleted meanwhile, by somebody else
            return paragraph(problem, alert=True), hidden, *nothing, ()
        with on_page():
            if len(runs) > 1:
                return self._compared(runs), hidden, *nothing, tuple(names)
            run, labels = runs[0], self._store.labels(names[0])
            related = about(self._store.lineage(run.id), labels)
            shown = self._told(run, related)
            if run.measurements:
                shown += self._table(*figures.before_after_table(run.measurements), self.say("measured", run=run.id))
            pin = gr.Button(self.say("unpin" if labels.pinned else "pin"))
            return shown, gr.Column(visible=True), pin, " ".join(labels.tags), unpacked, hidden, (run.id,)

    def _told(self, run: Run, related: list[str]) -> str:
        """What was found, in words of the page: those of the command line, or of the chat."""
        label = self.say("summary", run=run.id)
        if self._page.language == "en":
            return lines("\n".join([summary(run), *related]), label)
        from agent.planner.answers import render
        from agent.ui.markdown import html_of

        told = html_of(render(self._page.language, "shown", run=facts(run, self._store)))
        return f"<section>{text(label)}{told}</section>" + lines("\n".join(map(self._page.translated, related)), label)

    def _table(self, header: list[str], rows: list[list[str]], caption: str, picks: list[str] | None = None) -> str:
        say = self._page.translated
        return table(
            [say(each) for each in header], [[say(cell) for cell in row] for row in rows], caption, picks=picks
        )

    def _compared(self, runs: list[Run]) -> str:
        parts = compared(compare(runs))
        return "".join(
            "".join(paragraph(line) for line in part.splitlines())
            if isinstance(part, str)
            else self._table(*part, f"{self.say('compared')}: {self._page.translated(part[0][0])}")
            for part in parts
        )

    def pictures(self, names: tuple[str, ...]) -> list[figures.Picture]:
        """What is drawn for the runs that are open; nothing for one that was deleted meanwhile."""
        try:
            runs = [self._store.get(name) for name in names]
        except UnknownRun:
            return []
        return figures.pictures(runs[0]) if len(runs) == 1 else figures.pictures_of_several(runs)

    def pin(self, names: list[str]) -> tuple[Any, ...]:
        with on_page():
            self._store.pin(names[0], not self._store.labels(names[0]).pinned)
        return self.open(names)

    def tag(self, names: list[str], given: str) -> tuple[Any, ...]:
        """Exactly these tags."""
        with on_page():
            wanted = given.lower().split()
            before = self._store.labels(names[0]).tags
            self._store.tag(names[0], wanted)
            if left := [each for each in before if each not in wanted]:
                self._store.tag(names[0], left, remove=True)
        return self.open(names)

    def pack(self, names: list[str]) -> Iterator[Any]:
        """The archive as a file to download; what was packed is removed when the page has it."""
        with TemporaryDirectory() as folder:
            with on_page():
                path = self._store.export(names[0], Path(folder) / f"{names[0]}.zip")
            yield gr.File(value=str(path), visible=True)

    def ask(self, names: list[str]) -> tuple[Any, ...]:
        """What will be lost, before anything is."""
        with on_page():
            below = self._store.lineage(names[0]).below
        listed = ", ".join(below)
        asked = self.say("ask_below", run=names[0], below=listed) if below else self.say("ask", run=names[0])
        alone = gr.Button(self.say("really_alone" if below else "really"))
        return gr.Column(visible=True), paragraph(asked, alert=True), alone, gr.Button(visible=bool(below))

    def delete(self, names: list[str]) -> tuple[Any, Any]:
        return self._deleted(names[0], force=True)

    def delete_all(self, names: list[str]) -> tuple[Any, Any]:
        return self._deleted(names[0], with_dependants=True)

    def _deleted(self, run: str, **how: bool) -> tuple[Any, Any]:
        with on_page():
            gone = self._store.delete(run, **how)
        gr.Info(escape(self.say("deleted", runs=", ".join(gone))))
        return gr.Dropdown(value=[]), gr.Column(visible=False)
