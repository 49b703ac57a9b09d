"""Stands for tools.workflows where no model is to be loaded: each call saves and returns a sample run."""

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

import tools
from analyzers.progress import Progress
from analyzers.records import Request, Run
from knowledge.runs import RunStore
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, train_run
from tools.workspace import Workspace

SAMPLES = {
    "train": train_run,
    "analyze": analysis_run,
    "plan": plan_run,
    "compress": compression_run,
    "evaluate": evaluation_run,
    "export": export_run,
}


class FakeWorkflows(types.ModuleType):
    """Remembers what was asked; the first run of a kind has the id of its sample, later ones others.

    `before[name]` is called with the progress before a workflow answers: it may raise, or wait.
    """

    def __init__(self) -> None:
        super().__init__("tools.workflows")
        self.asked: list[tuple[str, Request]] = []
        self.extra: list[dict[str, Any]] = []
        self.before: dict[str, Callable[[Progress], None]] = {}
        self.told = ""  # the words of the last report

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.asked]

    def __getattr__(self, name: str):
        if name == "report":
            return self._report
        if name not in SAMPLES:
            raise AttributeError(name)

        def workflow(request: Request, workspace: Workspace, progress: Progress, **extra: Any) -> Run:
            self.asked.append((name, request))
            self.extra.append(extra)
            self.before.get(name, lambda _: None)(progress)
            run = self._run(name, request, workspace)
            workspace.runs.save(run)
            return run

        return workflow

    def _run(self, name: str, request: Request, workspace: Workspace) -> Run:
        sample = SAMPLES[name]()
        made = self.names.count(name)
        run_id = sample.id if made == 1 else f"{sample.kind}-{made}zzzzz"
        changes: dict[str, Any] = {"command": request.command(), "seed": request.seed}
        for field in ("model", "data"):
            if field in type(request).model_fields:
                changes[field] = getattr(request, field)
        source = getattr(request, "analysis", None) or getattr(request, "plan", None)
        if source:
            parent = workspace.runs.get(source)
            changes |= {"model": parent.model, "data": parent.data, "parents": [source]}
        return SAMPLES[name](run_id=run_id, **changes)

    def _report(self, runs: list[str], out: Any, workspace: Workspace, narrator: Any = None, **options: Any) -> Any:
        found = [workspace.runs.get(run) for run in runs]
        self.told = narrator(found, options.get("language", "en")).text if narrator else ""
        out.write_text("a report")
        return out


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records are written, the search index is not: opening it takes longer than most tests."""
    monkeypatch.setattr(RunStore, "_index", types.SimpleNamespace(write=lambda _: None, remove=lambda _: None))


@pytest.fixture
def workflows(monkeypatch: pytest.MonkeyPatch) -> FakeWorkflows:
    fake = FakeWorkflows()
    monkeypatch.setitem(sys.modules, "tools.workflows", fake)
    monkeypatch.setattr(tools, "workflows", fake, raising=False)
    return fake
