"""The page in one language: the chat and, in tabs, what stands beside it."""

from collections.abc import Callable

import gradio as gr

from agent.ui import api, chat
from agent.ui.page import Page
from agent.ui.panels import jobs, runs, settings, sources

TABS: dict[str, Callable[[Page], None]] = {
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
        with gr.Tabs():
            for name, build in TABS.items():
                with gr.Tab(page.say(f"tabs.{name}"), id=name):
                    build(page)
        api.build(page)
    return blocks
