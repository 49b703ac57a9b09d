"""What a batch will cost, told before anything runs: time, memory and disk of each task, from the history of the home.

A task that starts from a run which is not made yet is estimated as from the newest run that is like it; that run is named.
"""

from collections.abc import Mapping

from agent.batch.doing import Doing
from agent.batch.expansion import Task
from analyzers.records import PlanRequest, PlanResult, Record, Request, Run
from analyzers.requests import KINDS
from knowledge.disk import RUN_ID
from knowledge.runs import RunStore
from tools.estimates import Forecasts, forecast
from tools.workspace import Workspace

NOT_COMPUTED = "nobody knows how long a language model or a report takes"
NOT_MADE = "it starts from a run that is not made yet, and no earlier one is like it"


class Expected(Record):
    """Of one task. Values that are None are not known; `why` says why."""

    name: str
    verb: str
    history: str | None = None  # the run that will be taken from history: nothing is to be done
    like: tuple[str, ...] = ()  # runs that stand for those that are not made yet
    seconds: float | None = None
    memory_mb: float | None = None
    disk_mb: float | None = None
    why: str = ""


class DryRun(Record):
    name: str
    steps: tuple[Expected, ...]
    seconds: float  # of all that is known
    memory_mb: float | None  # the most at once
    disk_mb: float
    complete: bool  # every time is known


def dry_run(name: str, tasks: list[Task], doing: Doing, workspace: Workspace) -> DryRun:
    """Estimate all tasks; nothing is run, and no model is loaded."""
    stand_ins: dict[str, str] = {}
    real: set[str] = set()
    found = []
    for task in tasks:
        expected, run, is_real = _expected(task, stand_ins, real, doing, workspace)
        found.append(expected)
        if run:
            stand_ins[task.name] = run
            if is_real:
                real.add(task.name)
    return DryRun(
        name=name,
        steps=tuple(found),
        seconds=sum(each.seconds or 0.0 for each in found),
        memory_mb=max((each.memory_mb for each in found if each.memory_mb), default=None),
        disk_mb=sum(each.disk_mb or 0.0 for each in found),
        complete=all(each.seconds is not None for each in found),
    )


def _expected(
    task: Task, stand_ins: Mapping[str, str], real: set[str], doing: Doing, workspace: Workspace
) -> tuple[Expected, str | None, bool]:
    """The estimate, and the run that later tasks are estimated from: that of history, or one that is like it."""
    about = {"name": task.name, "verb": task.step.verb}
    taken = [name for source, names in task.sources.items() if not source.many for name in names]
    if task.step.verb not in KINDS:
        return Expected(**about, why=NOT_COMPUTED), None, False
    if any(name not in stand_ins for name in taken):
        return Expected(**about, why=NOT_MADE), None, False
    like = tuple(dict.fromkeys(stand_ins[name] for name in taken if name not in real))
    request: Request = doing.request(task, stand_ins)
    if not like and (earlier := doing.earlier(task, request, say=False)):
        return Expected(**about, history=earlier.id, seconds=0.0, disk_mb=0.0), earlier.id, True
    costs: Forecasts = forecast(request, workspace)
    expected = Expected(
        **about,
        like=like,
        seconds=costs.seconds.value if costs.seconds else None,
        memory_mb=costs.memory_mb.value if costs.memory_mb else None,
        disk_mb=costs.disk_mb.value if costs.disk_mb else None,
        why="; ".join(dict.fromkeys(costs.unknown.values())),
    )
    near = _near(request, workspace.runs)
    return expected, near.id if near else None, False


def _near(request: Request, store: RunStore) -> Run | None:
    """The newest finished run that is most like what the request will make."""
    runs = store.list(kind=KINDS[request.verb], status="done", limit=200)
    source = getattr(request, "model", None) or getattr(request, "analysis", None) or getattr(request, "plan", None)
    base = store.base_model(store.get(str(source))) if _is_run(str(source), store) else source
    same = [run for run in runs if store.base_model(run) == base]
    if isinstance(request, PlanRequest):
        target = request.target()
        closer = [run for run in same if isinstance(run.result, PlanResult) and run.result.target == target]
        same = closer or same
    return next((run for run in same if run.data == getattr(request, "data", run.data)), same[0] if same else None)


def _is_run(name: str, store: RunStore) -> bool:
    return bool(RUN_ID.fullmatch(name)) and store.folder(name).is_dir()
