"""The tab "Chat"."""

import gradio as gr

from agent.ui.page import Page


def build(page: Page) -> None:
    gr.Markdown(page.say("tabs.chat"))
