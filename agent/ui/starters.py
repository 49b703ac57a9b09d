"""What a visitor may say first, by what the home has: nothing, a trained model, an analysis, a plan, a smaller model."""

from collections.abc import Callable

from analyzers.records import Kind, Run
from tools.workspace import Workspace

_NEXT: tuple[tuple[Kind, tuple[str, ...]], ...] = (  # the furthest that the home has counts
    ("compression", ("compare", "report", "export")),
    ("plan", ("compress", "why", "report")),
    ("analysis", ("plan", "believe", "report")),
    ("train", ("analyze", "show", "runs")),
)
_NOTHING = ("whole", "train", "data", "methods")


def starters(workspace: Workspace, say: Callable[..., str]) -> list[str]:
    """Messages that fit the newest runs of a home, in the words of the page.

    Raises:
        StorageError: the home cannot be read.
    """
    for kind, names in _NEXT:
        for run in workspace.runs.list(status="done", kind=kind, limit=1):
            return [say(f"chat.start_{name}", run=run.id, other=_source(run)) for name in names] + [
                say("chat.start_whole")
            ]
    return [say(f"chat.start_{name}") for name in _NOTHING]


def _source(run: Run) -> str:
    """What a run is best compared with: the model that it came from."""
    return run.model if run.model.startswith("train-") else run.parents[0] if run.parents else run.id
