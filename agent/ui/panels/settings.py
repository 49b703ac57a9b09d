"""The tab "Settings": the language model of the chat with its grade, the language of the page, and the machine."""

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr

from agent import grades
from agent.grades import Graded
from agent.ui.failures import on_page
from agent.ui.html import block, paragraph, table, text
from agent.ui.page import LANGUAGES, PATHS, Page
from analyzers.errors import LanguageModelError

if TYPE_CHECKING:  # the library of language models loads longer than the page may take
    from agent.llm import LanguageModel


def build(page: Page) -> None:
    """Put the tab where the page is being built."""
    panel = _Panel(page)
    say = panel.say
    quiet: dict[str, Any] = {"api_visibility": "private"}
    block(f"<h2>{say('language')}</h2>{panel.languages()}", elem_classes="lw-languages")
    block(f"<h2>{say('llm')}</h2>")
    llm = gr.Dropdown(
        ["auto", "offline"],
        value=page.settings.llm,
        label=say("llm_label"),
        info=say("llm_info"),
        allow_custom_value=True,
    )
    with gr.Row():
        look_at = gr.Button(say("about_it"), size="sm")
        use = gr.Button(say("use"), size="sm")
        grade = gr.Button(say("grade"), size="sm")
    block(paragraph(say("grade_info")))
    about = block(elem_classes="lw-llm")
    block(f"<h2>{say('machine')}</h2>")
    look = gr.Button(say("look"), size="sm")
    machine = block(elem_classes="lw-machine")
    gr.on([llm.input, look_at.click], panel.llm, llm, about, **quiet)
    use.click(panel.use, llm, about, **quiet)
    grade.click(panel.grade, llm, about, **quiet)
    look.click(panel.machine, None, machine, **quiet)
    tab = gr.context.Context.block  # the tab that this is built in: servers are asked when it is looked at
    if isinstance(tab, gr.Tab):
        tab.select(panel.names, llm, llm, show_progress="hidden", **quiet)


class _Panel:
    """What the events of the tab do: what `layerwise doctor` does, in the words of the page."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def say(self, key: str, **values: object) -> str:
        return self._page.say(f"settings.{key}", **values)

    def languages(self) -> str:
        """Links to the page in each language; the one that is open is no link."""
        shown = []
        for language, name in LANGUAGES.items():
            if language == self._page.language:
                shown.append(f'<b lang="{language}" aria-current="true">{text(name)}</b>')
            else:
                shown.append(
                    f'<a lang="{language}" hreflang="{language}" href="{PATHS[language].rstrip("/")}/">{text(name)}</a>'
                )
        return f"<p>{' · '.join(shown)}</p>"

    def names(self, shown: str, request: gr.Request) -> Any:
        """The language models that can be chosen: those that Ollama has, where it answers; and what the visitor chose."""
        from agent.llm import ollama_models

        try:
            found = [f"ollama:{name}" for name in ollama_models(self._page.settings)]
        except LanguageModelError:
            found = []
        mine = self._page.preferences.llm(self._page.visitor(request)) or self._page.settings.llm
        choices = list(dict.fromkeys(["auto", "offline", *found, mine]))
        # Servers may be slow to answer, and something else may be typed by then: it is not written over for nothing.
        return gr.Dropdown(choices=choices) if shown == mine else gr.Dropdown(choices=choices, value=mine)

    def llm(self, name: str) -> str:
        from agent.llm import choose

        with on_page():
            chosen = choose(name.strip(), self._page.settings)
            try:
                return self._about(chosen, self._known(chosen))
            finally:
                chosen.close()

    def use(self, name: str, request: gr.Request) -> str:
        """Take it for the conversations of the visitor, if it can be used."""
        about = self.llm(name)
        with on_page():
            self._page.preferences.choose_llm(self._page.visitor(request), name.strip())
        gr.Info(escape(self.say("used", name=name.strip())))
        return about

    def grade(self, name: str) -> Iterator[str]:
        """Grade a language model; what is tried stands on the page meanwhile."""
        from agent import doctor
        from agent.llm import choose

        with on_page():
            chosen = choose(name.strip(), self._page.settings)
            try:
                if chosen.name == "offline":
                    yield self._about(chosen, None)
                    return
                yield paragraph(f"{chosen.name} …")
                found = doctor.grade(chosen, self._page.settings, self._page.workspace)
                grades.write(self._page.workspace.home, found)
                yield self._about(chosen, found)
            finally:
                chosen.close()

    def machine(self) -> str:
        from agent import doctor

        with on_page():
            found = doctor.environment(self._page.workspace)
        home = found.home if found.home_writable else self.say("closed", home=found.home)
        rows = [
            [self.say("device"), found.device],
            [self.say("threads"), str(found.threads)],
            [self.say("home"), home],
            [self.say("runs"), f"{found.runs:,}"],
            [self.say("index"), found.index],
            [self.say("cache"), found.cache],
            [self.say("assets"), ", ".join(found.demo_assets) or self.say("none")],
        ]
        return table(["", ""], rows, self.say("machine"))

    def _known(self, chosen: "LanguageModel") -> Graded | None:
        from agent.llm import server_of

        if chosen.name == "offline":
            return None
        settings = self._page.settings
        return grades.read(self._page.workspace.home, chosen.name, server_of(chosen.name, settings))

    def _about(self, chosen: "LanguageModel", graded: Graded | None) -> str:
        from agent import doctor

        rows = [[self.say("name"), chosen.name], [self.say("why"), chosen.why]]
        if graded:
            unknown = self.say("unknown")
            rows += [
                [self.say("verdict"), doctor.verdict(chosen, graded)],
                [self.say("graded"), f"{graded.created:%Y-%m-%d %H:%M} UTC"],
                [self.say("native"), self._yes(graded.native)],
                [self.say("text"), self._yes(graded.text)],
                [self.say("schema"), self._yes(graded.schema_held)],
                [self.say("refrains"), self._yes(graded.refrains)],
                [self.say("context"), f"{graded.context:,}" if graded.context else unknown],
                [self.say("speed"), f"{graded.tokens_per_second or '?'}, {graded.prompt_tokens_per_second or '?'}"],
            ]
        elif chosen.name == "offline":
            rows.append([self.say("verdict"), doctor.verdict(chosen, None)])
        else:
            rows.append([self.say("verdict"), self.say("not_graded")])
        return table(["", ""], rows, self.say("about"))

    def _yes(self, value: bool) -> str:
        return self.say("yes" if value else "no")
