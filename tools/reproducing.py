"""A run made again by its recorded command, and each of its numbers beside the one that came out now.

A number is the same (to a millionth), within its interval, or different. What a machine took (seconds, latency, memory) is
compared by intervals only: two that overlap are within, and without intervals nothing is compared.
"""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from analyzers.errors import DataError, UsageError
from analyzers.progress import Progress
from analyzers.records import Record, Run
from analyzers.requests import ExportRequest, parse_command
from tools.unchanged import Present
from tools.workspace import Workspace

Verdict = Literal["the same", "within its interval", "different", "not compared"]
SAME = 1e-6  # relative: the order of additions may differ between numbers of threads
OF_A_MACHINE = ("seconds", "latency_ms", "throughput", "speedup", "peak_memory_mb", "epochs_per_second")
ASIDE = ("folder", "files", "commands", "runtime", "failed")  # of a result: paths and words, no numbers
CLOCK = ("minutes", "heal_minutes")


class Number(Record):
    """One value of a record, as it was and as it came out now; lists of layers count as one."""

    name: str
    before: Any
    low: float | None = None  # of the interval that was recorded
    high: float | None = None
    after: Any = None  # None: it did not come out at all
    verdict: Verdict


class Reproduction(Record):
    """What came of making a run again."""

    run: str
    again: str  # the run that was made now
    command: str
    cautions: tuple[str, ...]  # what else may explain a difference
    counts: dict[str, int]  # by verdict
    only_timings: bool  # what differs is what a machine took, nothing else
    reproduced: bool  # no number is different
    numbers: tuple[Number, ...]


class _Value(NamedTuple):
    value: Any
    low: float | None = None
    high: float | None = None
    timing: bool = False


def reproduce(run_id: str, workspace: Workspace, progress: Progress) -> Reproduction:
    """Do again what made a run, and compare.

    Args:
        run_id: a finished run.
        workspace: where it is; the new run is kept there too.
        progress: of the workflow.

    Raises:
        UsageError: the run is not finished, or its command is none of this version.
        UnknownRun: it, or what it was made from, is not there.
        DataError: its data or the files of its model have changed; nothing was run.
        LayerwiseError: what the workflow raises.
    """
    run = workspace.runs.get(run_id)
    if run.status != "done":
        raise UsageError(f"{run.id} is {run.status}, so it has no numbers to reproduce; make it first: {run.command}")
    request = parse_command(run.command)
    if isinstance(request, ExportRequest):  # what was written stays where it is
        request = request.model_copy(update={"output": None})
    found = Present(workspace, progress).changes(run)
    if found.inputs:
        raise DataError(
            f"{run.id} cannot be reproduced: {'; '.join(found.inputs)}; bring back what it was made from, or make a new run: "
            f"{run.command}"
        )
    progress.say(f"making {run.id} again: {request.command()}")
    from tools import workflows

    again: Run = getattr(workflows, request.verb)(request, workspace, progress)
    cautions = [*found.unknown, *found.surroundings]
    if limits := [name for name in CLOCK if getattr(request, name, None)]:
        cautions.append(f"it was limited by the clock ({', '.join(limits)}): a busier machine gets less far")
    return compared(run, again, tuple(cautions))


def compared(run: Run, again: Run, cautions: tuple[str, ...] = ()) -> Reproduction:
    """The numbers of two runs of one command beside each other."""
    before, after = dict(_numbers(run)), dict(_numbers(again))
    numbers = []
    for name, value in before.items():
        other = after.get(name)
        numbers.append(
            Number(
                name=name,
                before=value.value,
                low=value.low,
                high=value.high,
                after=other.value if other else None,
                verdict=_verdict(value, other),
            )
        )
    numbers += [
        Number(name=name, before=None, after=value.value, verdict="not compared" if value.timing else "different")
        for name, value in after.items()
        if name not in before
    ]
    off = [each.name for each in numbers if each.verdict == "different"]
    return Reproduction(
        run=run.id,
        again=again.id,
        command=run.command,
        cautions=cautions,
        counts=dict(Counter(each.verdict for each in numbers)),
        only_timings=bool(off) and all(name in before and before[name].timing for name in off),
        reproduced=not off,
        numbers=tuple(numbers),
    )


def _verdict(before: _Value, after: _Value | None) -> Verdict:
    if before.timing:
        if after is None or None in (before.low, before.high, after.low, after.high):
            return "not compared"
        return "within its interval" if _overlap(before, after) else "different"
    if after is None:
        return "different"
    if _same(before.value, after.value):
        return "the same"
    if before.low is not None and before.high is not None and _is_number(after.value):
        return "within its interval" if before.low <= after.value <= before.high else "different"
    return "different"


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(_same, before, after))
    if _is_number(before) and _is_number(after):
        return math.isclose(before, after, rel_tol=SAME)
    return bool(before == after)


def _overlap(one: _Value, other: _Value) -> bool:
    return float(one.low or 0) <= float(other.high or 0) and float(other.low or 0) <= float(one.high or 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(run: Run) -> Iterator[tuple[str, _Value]]:
    for each in run.measurements:
        about = f" on {each.split}" if each.split else ""
        name = f"{each.name} of {each.subject}{about}" + (f" ({each.conditions})" if each.conditions else "")
        yield name, _Value(each.value, each.low, each.high, each.name in OF_A_MACHINE)
    if run.result is not None:
        yield from _walk(run.result.model_dump(mode="json"), "", False)


def _walk(part: Any, path: str, timing: bool) -> Iterator[tuple[str, _Value]]:
    """The leaves of a result. A value with its interval is one leaf, and so is a list of plain values."""
    if isinstance(part, dict) and {"value", "low", "high"} <= set(part):
        yield path, _Value(part["value"], part["low"], part["high"], timing)
        return
    if isinstance(part, dict):
        for name, value in part.items():
            if name not in ASIDE:
                of_machine = any(name == each or name.endswith(f"_{each}") for each in OF_A_MACHINE)
                yield from _walk(value, f"{path}.{name}" if path else name, timing or of_machine)
    elif isinstance(part, list) and any(isinstance(each, dict) for each in part):
        for place, value in enumerate(part):
            yield from _walk(value, f"{path}[{place}]", timing)
    else:
        yield path, _Value(part, timing=timing)
