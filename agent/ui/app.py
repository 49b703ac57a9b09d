"""The page in one language: the chat and, in tabs, what stands beside it."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from agent.ui import api, chat
from agent.ui.page import Page
from agent.ui.panels import jobs, runs, settings, sources

TABS: dict[str, Callable[[Page], Any]] = {
    "chat": chat.build,
    "runs": runs.build,
    "jobs": jobs.build,
    "sources": sources.build,
    "settings": settings.build,
}


def create_app(page: Page) -> gr.Blocks:
    """The page as Gradio blocks; `agent.ui.serve` gives it an address."""
    with gr.Blocks(title=page.say("tabs.title"), analytics_enabled=False, fill_width=True) as blocks:
        title, what = page.say("tabs.title"), page.say("tabs.what")
        gr.HTML(f'<h1 class="brand">{title}<small>{what}</small></h1>', apply_default_css=False)
        built = {}
        with gr.Tabs() as tabs:
            for name, build in TABS.items():
                with gr.Tab(page.say(f"tabs.{name}"), id=name):
                    built[name] = build(page)
        wanted, chosen, ticks = built["chat"], built["runs"], built["jobs"]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}

        def opened(tab: gr.SelectData) -> gr.Timer:
            return gr.Timer(active=tab.value == page.say("tabs.jobs"))

        tabs.select(opened, None, ticks, **quiet)
        wanted.change(_to_run, wanted, [tabs, chosen, wanted], **quiet)
        api.build(page)
    return blocks


def _to_run(run: str) -> tuple[Any, ...]:
    """From a number in the chat to its run; the same one may be wanted again."""
    return (gr.Tabs(selected="runs"), gr.Dropdown(value=[run]), "") if run else (gr.skip(), gr.skip(), gr.skip())
