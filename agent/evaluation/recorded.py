"""The runs of one real session (`make demo`, 2026-11-24), and workflows that answer with them at once.

What they measured is theirs alone: under other settings a workflow here gives the same numbers.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from agent.evaluation.cases import STATES, Taint
from analyzers.progress import Progress
from analyzers.records import CompressionResult, EvaluationResult, Request, Run, TrainResult
from knowledge.files import write_whole
from tools.workspace import Workspace

ENDS = {"train": "train", "analyze": "analysis", "plan": "plan", "compress": "compression", "evaluate": "evaluation"}


@cache
def recorded() -> dict[str, Run]:
    """The recorded runs by kind; an evaluation is what the compression measured of the smaller model."""
    listed = json.loads(Path(__file__).with_name("recorded.json").read_text(encoding="utf-8"))
    runs: dict[str, Run] = {run.kind: run for run in (Run.model_validate(each) for each in listed)}
    small = runs["compression"]
    outcome = small.result
    if not isinstance(outcome, CompressionResult):
        raise TypeError(f"{small.id} is no compression")
    healed = [each.model_copy(update={"subject": "model"}) for each in small.measurements if each.subject == "healed"]
    layers = len(outcome.kept)
    parameters = int(next(each.value for each in healed if each.name == "parameters"))
    result = EvaluationResult(task=outcome.task, metric=outcome.metric, layers=layers, parameters=parameters)
    runs["evaluation"] = small.model_copy(
        update={
            "id": "evaluation-e4a5u2",
            "kind": "evaluation",
            "parents": [small.id],
            "model": small.id,
            "artifacts": [],
            "measurements": healed,
            "result": result,
            "created": small.created + timedelta(minutes=5),
        }
    )
    return runs


def furnish(workspace: Workspace, state: str, taint: Taint) -> None:
    """Put the runs of a state into an empty home."""
    for kind in ("train", "analysis", "plan", "compression")[: STATES.index(state)]:
        run = recorded()[kind]
        _save(_tainted(run, taint) if kind == "train" else run, workspace)


class RecordedWorkflows:
    """Stands for `tools.workflows`: each call saves and returns the recorded run of its kind under an id of its own."""

    def __init__(self) -> None:
        self._made = 0

    def __getattr__(self, name: str) -> Any:
        if name not in ENDS:
            raise AttributeError(f"no workflow {name!r} was recorded")

        def workflow(request: Request, workspace: Workspace, progress: Progress, **extra: Any) -> Run:  # noqa: ARG001
            run = self._run(name, request, workspace)
            _save(run, workspace)
            return run

        return workflow

    def report(self, runs: Sequence[str], out: Path, workspace: Workspace, **_: Any) -> Path:
        for run in runs:
            workspace.runs.get(run)
        out.write_text("a report", encoding="utf-8")
        return out

    def _run(self, name: str, request: Any, workspace: Workspace) -> Run:
        self._made += 1
        kind = ENDS[name]
        known = recorded()[kind]
        newest = max((run.created for run in workspace.runs.list(limit=1)), default=known.created)
        changes: dict[str, Any] = {
            "id": f"{kind}-new00{self._made}",
            "created": newest + timedelta(minutes=1),
            "command": request.command(),
            "seed": request.seed,
        }
        for source in ("analysis", "plan"):
            if parent := getattr(request, source, None):
                before = workspace.runs.get(parent)
                changes |= {"model": before.model, "data": before.data, "parents": [parent]}
        for field in ("model", "data"):
            if given := getattr(request, field, None):
                changes[field] = given
        return known.model_copy(update=changes)


def _save(run: Run, workspace: Workspace) -> None:
    # without the search index, which takes longer to open than a conversation with the planner
    write_whole(workspace.runs.folder(run.id) / "record.json", run.model_dump_json().encode())


def _tainted(run: Run, taint: Taint) -> Run:
    changes: dict[str, Any] = {name: value for name in ("model", "data") if (value := getattr(taint, name))}
    if taint.label and isinstance(run.result, TrainResult):
        changes["result"] = run.result.model_copy(update={"labels": [taint.label, *run.result.labels[1:]]})
    return run.model_copy(update=changes)
