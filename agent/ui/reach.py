"""Which files the page may be told to read."""

from pathlib import Path

from agent.ui.page import Page
from analyzers.errors import UsageError
from analyzers.references import parse_data, parse_model

FILES = ("csv", "jsonl", "parquet")  # kinds of data that lie in files


def data_reference(named: str, page: Page) -> str:
    """The data reference that somebody named on the page, if the page may read it.

    Raises:
        UnknownData: there is no such data.
        UsageError: it is a file that the page may not read.
    """
    reference = parse_data(named)
    if reference.kind in FILES:
        _within(Path(reference.value), page)
    return reference.text


def model_reference(named: str, page: Page) -> str:
    """The model reference that somebody named on the page, if the page may read it.

    Raises:
        UnknownModel: there is no such model.
        UsageError: it is a file that the page may not read.
    """
    reference = parse_model(named)
    if reference.kind in ("folder", "gguf"):
        _within(Path(reference.value), page)
    return reference.text


def _within(path: Path, page: Page) -> None:
    """Who owns the machine may name any file; visitors who sign in, only those of the workspace and of the server's folder."""
    if not page.users:
        return
    folders = (page.workspace.home.resolve(), Path.cwd().resolve())
    if not any(path.expanduser().resolve().is_relative_to(folder) for folder in folders):
        raise UsageError(
            f"{path} is outside of what this page may read: {' and '.join(map(str, folders))}; upload the file, or ask who "
            "runs the server to put it there"
        )
