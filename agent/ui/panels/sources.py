"""The tab "Models and data": what can be worked on, looked into before anything is computed."""

from pathlib import Path
from typing import Any

import gradio as gr

from agent.ui import pictures
from agent.ui.failures import on_page
from agent.ui.html import block, paragraph, table
from agent.ui.page import Page
from agent.ui.reach import FILES, data_reference, model_reference
from agent.ui.uploads import take_in
from analyzers.datasets.demo import DEMO_SETS
from analyzers.datasets.preview import Preview, preview
from analyzers.references import DEMO_MODELS, with_columns
from tools.about_model import about_model
from tools.figures import pictures_of_data
from tools.wording import cut

LONGEST = 400  # characters of a text in the first rows


def build(page: Page) -> None:
    """Put the tab where the page is being built."""
    panel = _Panel(page)
    say = panel.say
    quiet: dict[str, Any] = {"api_visibility": "private"}
    block(f"<h2>{say('models')}</h2>")
    with gr.Row():
        demo = gr.Dropdown([(say("pick"), ""), *_choices(DEMO_MODELS)], value="", label=say("demo_model"))
        model = gr.Textbox(label=say("model_named"), info=say("model_info"), max_length=1000)
    known = block(paragraph(say("model_nothing")), elem_classes="lw-model")
    demo.input(lambda name: name, demo, model, show_progress="hidden", **quiet).then(panel.model, model, known, **quiet)
    model.submit(panel.model, model, known, **quiet)

    block(f"<h2>{say('data')}</h2>")
    with gr.Row():
        dataset = gr.Dropdown([(say("pick"), ""), *_choices(DEMO_SETS)], value="", label=say("demo_data"))
        named = gr.Textbox(label=say("named"), info=say("named_info"), max_length=1000)
    with gr.Row():
        text = gr.Textbox(label=say("text_column"), max_length=200)
        label = gr.Textbox(label=say("label_column"), max_length=200)
    sent = gr.File(
        label=say("upload"),
        file_types=[f".{kind}" for kind in FILES],
        type="filepath",
        height=120,
        elem_classes="lw-sent",
    )
    look = gr.Button(say("look"), size="sm")
    reference = gr.Textbox(
        label=say("reference"), interactive=False, buttons=["copy"], visible=False, elem_classes="lw-reference"
    )
    shown = block(paragraph(say("nothing")), elem_classes="lw-data")
    found = gr.State("")  # a preview as JSON: Gradio wants what it can hash
    columns, after = [text, label], [reference, shown, found]
    dataset.input(lambda name: (name, "", ""), dataset, [named, *columns], show_progress="hidden", **quiet).then(
        panel.named, [named, *columns], after, **quiet
    )
    gr.on([named.submit, look.click], panel.chosen, [named, sent, *columns], after, **quiet)
    sent.upload(panel.sent, [sent, *columns], after, **quiet)

    def draw(seen: str) -> None:
        for picture in pictures_of_data(Preview.model_validate_json(seen)) if seen else ():
            pictures.show(picture, page)

    gr.render(inputs=found, triggers=[found.change])(draw)


def _choices(known: dict[str, str]) -> list[tuple[str, str]]:
    return [(f"demo:{name}: {about}", f"demo:{name}") for name, about in known.items()]


class _Panel:
    """What the events of the tab do: they read references and put what they find into words."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def say(self, key: str, **values: object) -> str:
        return self._page.say(f"sources.{key}", **values)

    def model(self, named: str) -> str:
        if not named.strip():
            return paragraph(self.say("model_nothing"))
        with on_page():
            facts = about_model(model_reference(named, self._page), self._page.workspace)
        facts = [(self._page.translated(name), self._page.translated(value)) for name, value in facts]
        return table(["", ""], facts, f"{self.say('model_facts')}: {named.strip()}")

    def named(self, named: str, text: str, label: str) -> tuple[Any, ...]:
        if not named.strip():
            return gr.Textbox(visible=False), paragraph(self.say("nothing")), ""
        with on_page():
            wanted = data_reference(with_columns(named.strip(), text.strip(), label.strip()), self._page)
            return self._shown(preview(wanted, self._page.workspace.cache))

    def sent(self, path: str | None, text: str, label: str) -> tuple[Any, ...]:
        if not path:
            return gr.Textbox(visible=False), paragraph(self.say("nothing")), ""
        with on_page():
            return self._shown(take_in(Path(path), self._page, text.strip(), label.strip()))

    def chosen(self, named: str, path: str | None, text: str, label: str) -> tuple[Any, ...]:
        """What was named goes before what was sent."""
        return self.named(named, text, label) if named.strip() else self.sent(path, text, label)

    def _shown(self, found: Preview) -> tuple[Any, ...]:
        say = self.say
        facts = [
            [say("examples"), f"{found.examples:,}"],
            [say("classes"), str(len(found.classes)) if found.classes else say("no_labels")],
            *([say("split", name=name), f"{n:,}"] for name, n in found.splits.items()),
            [say("groups"), f"{found.groups:,}"],
            [say("repeated"), f"{found.repeated:,}"],
        ]
        rows = [[cut(row.text, LONGEST), row.label] for row in found.first]
        notes = [paragraph(note) for note in found.notes]
        parts = [table(["", ""], facts, say("facts")), table([say("text"), say("label")], rows, say("first")), *notes]
        parts.append(paragraph(say("say", model="demo:minilm", data=found.data)))
        return gr.Textbox(value=found.data, visible=True), "".join(parts), found.model_dump_json()
