"""What the page can do, for programs: named endpoints of gradio_client that take and return JSON.

    from gradio_client import Client
    Client("http://127.0.0.1:7860").predict(kind="plan", api_name="/runs_list")

A run, a job, a session and a comparison are the documents that `--json` prints. An error is a message, as on the page.
"""

from collections.abc import Callable
from typing import Any

import gradio as gr

from agent.chat import ChatSession
from agent.events import END, Answer, ApprovalNeeded, Event, ToolFinished
from agent.llm import choose
from agent.sessions import Sessions
from agent.ui.failures import on_api
from agent.ui.page import Page
from agent.ui.reach import data_reference, model_reference
from analyzers.errors import UsageError
from analyzers.records import Record, Request
from knowledge.comparison import compare
from tools.jobs import JobWorkflows, cancel, listed, resume, show, submit
from tools.jobs.records import REQUESTS

Json = dict[str, Any]
Rows = list[dict[str, Any]]


def build(page: Page) -> None:
    """Give the page that is being built its endpoints, each under the name of its function."""
    api = _Api(page)
    for function in api.functions():
        gr.api(_told(function), api_name=function.__name__, api_description=function.__doc__)
    for verb in REQUESTS:
        gr.api(_starting(api, verb), api_name=verb, api_description=f"Start `layerwise {verb}` as a job; the job.")


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its failures as messages; what it takes stays what it was."""

    def called(*arguments: Any) -> Any:
        with on_api():
            return function(*arguments)

    called.__name__, called.__annotations__ = function.__name__, function.__annotations__
    called.__dict__["__signature__"] = inspect.signature(function)
    return called


def _starting(api: "_Api", verb: str) -> Callable[..., Json]:
    def start(request: Json, resume: bool = False) -> Json:
        with on_api():
            return api.start(verb, request, resume)

    return start


class _Api:
    """Each public method is an endpoint; its parameters are what a client gives."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._workspace = page.workspace

    def functions(self) -> list[Callable[..., Any]]:
        return [
            *(self.runs_list, self.runs_show, self.runs_search, self.runs_compare, self.runs_lineage),
            *(self.jobs_list, self.jobs_show, self.jobs_cancel, self.jobs_resume),
            *(self.sessions_list, self.sessions_show, self.sessions_search),
            *(self.methods, self.models, self.datasets, self.preview, self.workflows),
            *(self.chat, self.decide),
        ]
