"""A batch on a terminal: what will be done, and what became of it."""

from agent.batch.forecasting import DryRun, Expected
from agent.batch.outcomes import StepOutcome, Summary
from agent.summaries import table
from tools.wording import duration, size

WORDS = {"reused": "from history", "skipped": "not done"}


def shown(summary: Summary) -> str:
    """One line a step, its gates and messages below, and the end."""
    rows = [
        [step.name, WORDS.get(step.status, step.status), duration(step.seconds), step.run or "", step.gist or ""]
        for step in summary.steps
    ]
    lines = [table(["step", "status", "took", "run", "what came out"], rows)]
    for step in summary.steps:
        lines += _below(step)
    good = sum(step.good for step in summary.steps)
    lines.append(f"{summary.name}: {summary.status}, {good} of {len(rows)} steps in {duration(summary.seconds)}")
    return "\n".join([*lines, *(f"note: {note}" for note in summary.notes)])


def expected(found: DryRun) -> str:
    """The estimate of each step, and of all."""
    rows = [
        [each.name, _time(each), _amount(each.memory_mb), _amount(each.disk_mb), _remark(each)] for each in found.steps
    ]
    about = "" if found.complete else "at least "
    memory = f", {_amount(found.memory_mb)} of memory at most" if found.memory_mb else ""
    return "\n".join(
        [
            table(["step", "time", "memory", "disk", "from"], rows),
            f"{found.name}: {len(rows)} steps, {about}{duration(found.seconds)}{memory}, {_amount(found.disk_mb)} of disk; "
            "nothing was started",
        ]
    )


def _below(step: StepOutcome) -> list[str]:
    lines = [
        f"{step.name}: {'holds' if gate.holds else 'does NOT hold'}: {gate.text} ({gate.found})" for gate in step.gates
    ]
    if step.message and not (step.gates and step.status == "failed"):
        lines.append(f"{step.name}: {step.message}")
    if step.answer:
        lines += [f"{step.name}: {line}" for line in step.answer.splitlines() if line.strip()]
    return lines


def _time(each: Expected) -> str:
    if each.history:
        return "none"
    return "?" if each.seconds is None else duration(each.seconds)


def _amount(megabytes: float | None) -> str:
    return "?" if megabytes is None else size(megabytes * 1e6)


def _remark(each: Expected) -> str:
    if each.history:
        return f"{each.history} of history"
    parts = [f"as from {', '.join(each.like)}"] if each.like else []
    return "; ".join([*parts, *([each.why] if each.why else [])])
