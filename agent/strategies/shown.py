"""Which tools make sense now. Small models lose their way among many."""

from collections.abc import Sequence
from typing import Any

from agent.strategies.said import MODEL_KINDS, Said

# What must be there before a tool is of use: runs of one of these kinds, and so many of them.
NEEDS: dict[str, tuple[tuple[str, ...], int]] = {
    "plan_compression": (("analysis",), 1),
    "compress_model": (("plan",), 1),
    "export_model": ((*MODEL_KINDS, "plan"), 1),
    "write_report": ((), 1),
    "list_runs": ((), 1),
    "show_run": ((), 1),
    "compare_runs": ((), 2),
    "search_runs": ((), 11),  # a list shows the newest ten
}
NAMED = ("delete_run",)  # shown only where the last message names a run
FIRST = {"compress_model": "plan_compression", "plan_compression": "analyze_layers"}


def shown(tools: Sequence[Any], said: Said) -> list[Any]:
    """The tools that have what they need."""
    return [tool for tool in tools if _ready(tool.name, said)]


def needed_first(tool: str, said: Said) -> str:
    """The tool to call on the way to that one: itself where all it needs is there."""
    while not _ready(tool, said) and tool in FIRST:
        tool = FIRST[tool]
    return tool


def _ready(tool: str, said: Said) -> bool:
    if tool in NAMED:
        return bool(said.latest.runs)
    kinds, many = NEEDS.get(tool, ((), 0))
    if tool in FIRST:
        return len(said.of_kind(*kinds)) >= many
    return len([run for run in said.runs if not kinds or run.kind in kinds]) >= many
