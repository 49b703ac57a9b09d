"""The lines that imports may not cross (DESIGN.md, "The house")."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ["agent", "tools", "knowledge", "analyzers"]  # each may import what stands after it
ALLOWED = {name: {*ORDER[position:], "prompts"} for position, name in enumerate(ORDER)} | {"prompts": {"prompts"}}
ONLY_IN = {
    "gradio": ("agent/ui/",),
    "chromadb": ("knowledge/",),
    "langchain": ("agent/", "tools/catalog.py"),
    "langchain_core": ("agent/", "tools/catalog.py"),
    "langgraph": ("agent/",),
    "ray": ("tools/cluster/",),
}
FILES = sorted(path for package in ALLOWED for path in (ROOT / package).rglob("*.py"))


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield str(node.module)


def crossings(path: str, source: str) -> list[str]:
    """The imports of a file of ours that are not allowed there."""
    package = path.partition("/")[0]
    found = []
    for name in imported(source):
        top = name.partition(".")[0]
        strange_way = top in ALLOWED and top not in ALLOWED[package]
        strange_place = top in ONLY_IN and not path.startswith(ONLY_IN[top])
        if strange_way or strange_place:
            found.append(name)
    return found


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in FILES])
def test_imports_point_one_way(path: str) -> None:
    assert crossings(path, (ROOT / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("analyzers/x.py", "from tools.workspace import Workspace"),
        ("knowledge/x.py", "def f():\n    import agent.cli"),
        ("prompts/__init__.py", "import analyzers"),
        ("tools/x.py", "import chromadb"),
        ("agent/cli.py", "import gradio as gr"),
        ("tools/engines.py", "from ray.train import RunConfig"),
        ("tools/report.py", "from langchain_core.tools import tool"),
    ],
)
def test_a_crossing_is_noticed(path: str, source: str) -> None:
    assert len(crossings(path, source)) == 1


def test_no_file_has_two_jobs() -> None:
    """Files over 400 lines are a sign of it (STYLE.md)."""
    everything = [*FILES, *(ROOT / "tests").rglob("*.py")]
    assert [str(path) for path in everything if len(path.read_text().splitlines()) > 400] == []
