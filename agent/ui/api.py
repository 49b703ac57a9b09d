"""What the page can do, for programs: named endpoints of gradio_client that take and return JSON.

    from gradio_client import Client
    Client("http://127.0.0.1:7860").predict(kind="plan", api_name="/runs_list")

A run, a job, a session and a comparison are the documents that `--json` prints, but for the key `path`, which is `file` in
an artifact and `place` in a fact behind a number. An error is a message, as on the page.
"""

import inspect
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Literal, get_args

import gradio as gr
from pydantic_core import to_jsonable_python

from agent.sessions import Sessions
from agent.ui.conversation import Conversation
from agent.ui.failures import on_api
from agent.ui.page import Page
from agent.ui.reach import allowed, data_reference
from analyzers.datasets.preview import preview
from analyzers.errors import UsageError
from analyzers.records import Kind
from analyzers.requests import REQUESTS
from knowledge.comparison import compare
from tools import known
from tools.jobs import cancel, listed, resume, show, submit

Json = dict[str, Any]
Rows = list[dict[str, Any]]
Decision = Literal["approve", "change", "refuse"]

LOOK = 0.1  # seconds between two looks whether a turn has ended


def build(page: Page) -> None:
    """Give the page that is being built its endpoints, each under the name of its function."""
    api = _Api(page)
    for function in api.endpoints():
        about = " ".join((function.__doc__ or "").split())
        gr.api(_told(function), api_name=function.__name__, api_description=about)
    for verb in REQUESTS:
        about = f"Start `layerwise {verb}` as a job. `request` has the fields that the endpoint `workflows` lists."
        gr.api(_told(api.starting(verb)), api_name=verb, api_description=about)


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with its failures as messages for programs; Gradio reads its parameters as they were."""

    def called(*arguments: Any) -> Any:
        with on_api():
            return _for_client(function(*arguments))

    called.__name__, called.__annotations__ = function.__name__, function.__annotations__
    called.__dict__["__signature__"] = inspect.signature(function)
    return called


def _for_client(document: Any) -> Any:
    """The document without the key `path`: gradio_client would fetch each as a file of the page, and fail."""
    if isinstance(document, dict):
        names = {"path": "file" if "sha256" in document else "place"}
        return {names.get(name, name): _for_client(value) for name, value in document.items()}
    return [_for_client(each) for each in document] if isinstance(document, list) else document


class _Api:
    """Each endpoint is a method; its parameters are what a client gives."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._workspace = page.workspace
        self._runs = page.workspace.runs

    def endpoints(self) -> list[Callable[..., Any]]:
        return [
            *(self.runs_list, self.runs_show, self.runs_search, self.runs_compare),
            *(self.jobs_list, self.jobs_show, self.jobs_cancel, self.jobs_resume),
            *(self.sessions_list, self.sessions_show),
            *(self.methods, self.models, self.datasets, self.preview, self.workflows),
            *(self.chat, self.decide),
        ]

    # --- runs ---------------------------------------------------------------------------------------------------------

    def runs_list(self, kind: str = "", model: str = "", tags: list[str] | None = None, limit: int = 20) -> Rows:
        """The newest runs, of a kind, from a model, with tags."""
        filters: dict[str, Any] = {"kind": _kind(kind), "model": model or None, "tags": tuple(tags or ())}
        return [run.model_dump(mode="json") for run in self._runs.list(limit=_positive(limit), **filters)]

    def runs_show(self, run: str) -> Json:
        """One run."""
        return self._runs.get(run).model_dump(mode="json")

    def runs_search(self, query: str, kind: str = "", limit: int = 5) -> Rows:
        """The runs nearest in meaning to the words, the best first."""
        hits = self._runs.search(query, limit=_positive(limit), kind=_kind(kind))
        return [{"score": hit.score, "run": hit.run.model_dump(mode="json")} for hit in hits]

    def runs_compare(self, runs: list[str]) -> Json:
        """Two or more runs side by side: settings, measurements and whether they differ by more than chance."""
        return compare([self._runs.get(run) for run in runs]).model_dump(mode="json")

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def jobs_list(self, limit: int = 20) -> Rows:
        """The newest jobs."""
        return [job.model_dump(mode="json") for job in listed(self._workspace, _positive(limit))]

    def jobs_show(self, job: str) -> Json:
        """One job, with its progress."""
        return show(job, self._workspace).model_dump(mode="json")

    def jobs_cancel(self, job: str) -> Json:
        """End a job; what was finished is kept."""
        return cancel(job, self._workspace).model_dump(mode="json")

    def jobs_resume(self, job: str) -> Json:
        """Put a job that ended early into the queue again."""
        return resume(job, self._workspace).model_dump(mode="json")

    def starting(self, verb: str) -> Callable[..., Json]:
        """The endpoint that starts a workflow as a job."""

        def start(request: dict[str, Any], resume: bool = False) -> dict[str, Any]:
            record = REQUESTS[verb]
            if unknown := sorted(request.keys() - record.model_fields.keys()):
                raise UsageError(f"{verb} has no {', '.join(unknown)}; it has: {', '.join(record.model_fields)}")
            wanted = record(**request)
            allowed(wanted, self._page)
            return submit(wanted, self._workspace, resume=resume).model_dump(mode="json")

        return start

    # --- what there is ------------------------------------------------------------------------------------------------

    def methods(self) -> Rows:
        """The importance methods."""
        return known.methods()

    def models(self) -> Rows:
        """The demo models and the ways to name a model."""
        return known.models()

    def datasets(self) -> Rows:
        """The demo data sets and the ways to name a data set."""
        return known.datasets()

    def preview(self, data: str) -> Json:
        """What is in a data set: classes, lengths of the texts, first rows."""
        return preview(data_reference(data, self._page), self._workspace.cache).model_dump(mode="json")

    def workflows(self) -> Json:
        """What each workflow can be asked, as JSON schemas."""
        return {verb: record.model_json_schema() for verb, record in REQUESTS.items()}

    # --- conversations ------------------------------------------------------------------------------------------------

    def sessions_list(self, request: gr.Request, words: str = "", limit: int = 20) -> Rows:
        """The newest conversations of the visitor, of those in which all words were said."""
        found = self._page.conversations.listed(self._page.visitor(request), words, _positive(limit))
        return [session.model_dump(mode="json") for session in found]

    def sessions_show(self, request: gr.Request, session: str) -> Json:
        """What was said in a conversation."""
        self._page.conversations.open(session, self._page.visitor(request))  # or it is somebody else's
        with closing(Sessions(self._workspace)) as sessions:
            return sessions.get(session).model_dump(mode="json")

    def chat(self, request: gr.Request, message: str, session: str = "") -> Json:
        """Say something, in a new conversation or in one that is there; what came of it when the turn has ended.

        Where a step waits for approval, `question` is not null: answer it with `decide`.
        """
        visitor = self._page.visitor(request)
        conversations = self._page.conversations
        talk = conversations.open(session, visitor) if session else conversations.new(visitor)
        before = len(talk.transcript.items)
        talk.send(message)
        return _ended(talk, before)

    def decide(self, request: gr.Request, session: str, decision: Decision, arguments: Json | None = None) -> Json:
        """Answer the question of a conversation: approve, refuse, or change with other arguments."""
        if decision not in get_args(Decision):
            raise UsageError(f"{decision!r} is no decision; allowed are: {', '.join(get_args(Decision))}")
        talk = self._page.conversations.open(session, self._page.visitor(request))
        before = len(talk.transcript.items)
        talk.decide(decision, arguments)
        return _ended(talk, before)


def _ended(talk: Conversation, before: int) -> Json:
    """Wait for the end of the turn; what was added since. Who does not wait finds it in `sessions_show`."""
    while talk.busy:
        time.sleep(LOOK)
    question = talk.transcript.question()
    return {
        "session": talk.session,
        "items": [{"is": type(each).__name__, **to_jsonable_python(each)} for each in talk.transcript.items[before:]],
        "question": to_jsonable_python(question.asked) if question else None,
    }


def _kind(given: str) -> str | None:
    if given and given not in get_args(Kind):
        raise UsageError(f"{given!r} is no kind of run; there are: {', '.join(get_args(Kind))}")
    return given or None


def _positive(limit: int) -> int:
    if limit < 1:
        raise UsageError(f"a limit of {limit} shows nothing; give 1 or more")
    return int(limit)
