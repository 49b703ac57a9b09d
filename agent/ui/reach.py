"""Which files may be named on the page, by whatever way: a tab, the chat, an endpoint."""

from pathlib import Path
from typing import Protocol

from analyzers.errors import UsageError
from analyzers.records import Request
from analyzers.references import parse_data, parse_model
from tools.workspace import Workspace

FILES = ("csv", "jsonl", "parquet")  # kinds of data that lie in files


class Visited(Protocol):
    """A home, and who may sign in to see it; the page, for one."""

    @property
    def workspace(self) -> Workspace: ...

    @property
    def users(self) -> tuple[str, ...]: ...


def data_reference(named: str, page: Visited) -> str:
    """The data reference that somebody named on the page, if the page may read it.

    Raises:
        UnknownData: there is no such data.
        UsageError: it is a file that the page may not read.
    """
    kind, _, rest = named.strip().partition(":")
    if kind in FILES:
        _within(rest.partition("?")[0], page)  # before it is looked for: an error names what lies beside it
    reference = parse_data(named)
    if reference.kind in FILES:
        _within(reference.value, page)
    return reference.text


def model_reference(named: str, page: Visited) -> str:
    """The model reference that somebody named on the page, if the page may read it.

    Raises:
        UnknownModel: there is no such model.
        UsageError: it is a file that the page may not read.
    """
    kind, _, rest = named.strip().partition(":")
    if kind == "gguf":
        _within(rest, page)
    elif named.strip().startswith(("/", ".", "~")):
        _within(named.strip(), page)
    reference = parse_model(named)
    if reference.kind in ("folder", "gguf"):
        _within(reference.value, page)
    return reference.text


def allowed(request: Request, page: Visited) -> None:
    """Whether the page may read and write all that a request names.

    Raises:
        UnknownData, UnknownModel: there is no such data or model.
        UsageError: it names a file or a folder outside of what the page may read.
    """
    scratch = getattr(request, "from_scratch", None)
    if (model := getattr(request, "model", None)) and not scratch:  # else it is the name of a model to be made
        model_reference(model, page)
    for data in filter(None, (getattr(request, "data", None), *getattr(request, "heal_data", ()))):
        data_reference(data, page)
    for path in filter(None, (scratch, getattr(request, "output", None))):
        _within(path, page)


def _within(path: str, page: Visited) -> None:
    """Who owns the machine may name any file; visitors who sign in, only those of the workspace and of the server's folder."""
    if not page.users:
        return
    folders = (page.workspace.home.resolve(), Path.cwd().resolve())
    if not any(Path(path).expanduser().resolve().is_relative_to(folder) for folder in folders):
        raise UsageError(
            f"{path} is outside of what this page may read: {' and '.join(map(str, folders))}; upload the file, or ask who "
            "runs the server to put it there"
        )
