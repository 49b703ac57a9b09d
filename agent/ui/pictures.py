"""Pictures of runs on the page: each with the sentence that says what it shows and the same values as a table."""

import gradio as gr
import plotly.graph_objects as go

from agent.ui.html import block, paragraph, table
from agent.ui.page import Page
from tools.figures import Picture, translated


def plot(figure: go.Figure | None = None, *, visible: bool = True) -> gr.Plot:
    """A component for a figure. It stands on white, also where the page is dark: its texts are dark."""
    return gr.Plot(on_white(figure), show_label=False, container=False, visible=visible, elem_classes="lw-picture")


def on_white(figure: go.Figure | None) -> go.Figure | None:
    return figure and go.Figure(figure).update_layout(paper_bgcolor="#ffffff")


def show(picture: Picture, page: Page) -> None:
    """Put a picture where the page is being built."""
    picture = translated(picture, page.language)
    name = page.say(f"runs.picture_{picture.name}")
    block(f"<h3>{name}</h3>{paragraph(picture.about)}")
    plot(picture.figure)
    caption = page.say("runs.table", title=name)
    with gr.Accordion(caption, open=False):
        block(table(*picture.table, caption))
