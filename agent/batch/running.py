"""A batch from its first task to its last: what is done, what is taken from history, what is left out, and why."""

import time
import traceback
from collections.abc import Callable

from agent.batch.doing import Doing
from agent.batch.expansion import Task
from agent.batch.gates import Checked, check
from agent.batch.kept import Kept
from agent.batch.outcomes import Result, StepOutcome, Summary
from agent.batch.script import Script
from agent.batch.verbs import AskRequest, OpinionRequest
from analyzers.errors import Cancelled, UsageError
from analyzers.records import Request, Run, now
from knowledge.runs import RunStore
from tools.failures import told, unexpected
from tools.wording import duration


def run_batch(
    script: Script, tasks: list[Task], doing: Doing, kept: Kept, store: RunStore, say: Callable[[str], None]
) -> Summary:
    """Do all tasks in their order. A failure, or Ctrl-C, is part of the summary and raises nothing."""
    batch = _Batch(script, tasks, doing, kept, store, say)
    started, clock = now(), time.monotonic()
    if kept.begun:
        say("going on where it was stopped")
    for number, task in enumerate(tasks, start=1):
        batch.turn(task, f"[{number}/{len(tasks)}] {task.name}")
    outcomes = tuple(batch.outcomes.values())
    cancelled = any(each.status == "cancelled" for each in outcomes)
    failed = any(each.status == "failed" for each in outcomes)
    if batch.over:
        kept.end()
    return Summary(
        name=script.name,
        status="cancelled" if cancelled else "failed" if failed else "done",
        started=started,
        seconds=round(time.monotonic() - clock, 3),
        steps=outcomes,
    )


class _Batch:
    def __init__(
        self, script: Script, tasks: list[Task], doing: Doing, kept: Kept, store: RunStore, say: Callable[[str], None]
    ) -> None:
        self.outcomes: dict[str, StepOutcome] = {}
        self.stopped = ""  # why nothing more is begun
        self.over = True  # there is nothing to go on with: all steps had their turn, or a gate said no
        self._script = script
        self._optional = {task.name for task in tasks if task.step.optional}
        self._doing = doing
        self._kept = kept
        self._store = store
        self._say = say

    def turn(self, task: Task, head: str) -> None:
        if why := self.stopped or self._missing(task):
            self._add(task, "skipped", message=why)
            self._say(f"{head}: not done: {why}")
            return
        started = time.monotonic()
        command: str | None = None
        result: Result | None = None
        try:
            request = self._doing.request(task, self._runs(task))
            command = request.command() if isinstance(request, Request) else None
            self._say(f"{head}: {command or task.step.verb}")
            result = self._result(task, request)
            gates = self._gates(task, result)
        except (KeyboardInterrupt, Cancelled):
            self.stopped, self.over = "stopped by the user", False
            self._add(task, "cancelled", command=command, message=self.stopped, since=started)
            self._say(f"{head}: stopped; the same command goes on")
            return
        except Exception as problem:  # noqa: BLE001 (whatever it is, the other steps go on)
            _, message, _ = told(problem)
            if not message:
                traceback.print_exception(problem)
                message = unexpected(problem)
            self._failed(task, message, command, started, head, result)
            return
        broken = [gate for gate in gates if not gate.holds]
        if broken:
            message = "; ".join(f"{gate.text} does not hold: {gate.found}" for gate in broken)
            self._failed(task, message, command, started, head, result, gates)
            return
        self._add(task, "reused" if result.reused else "done", result, gates, command, since=started)
        how = "taken from history" if result.reused else f"done in {duration(time.monotonic() - started)}"
        self._say(f"{head}: {how}{f': {result.run}' if result.run else ''}")

    def _result(self, task: Task, request: Request | AskRequest | OpinionRequest) -> Result:
        if isinstance(request, AskRequest | OpinionRequest):
            found = None if task.step.fresh else self._kept.find(request)
            if found and self._there(found):
                return found.model_copy(update={"reused": True})
            result = self._doing.do(task, request)
            self._kept.keep(request, result)
            return result
        return self._doing.do(task, request)

    def _there(self, result: Result) -> bool:
        return result.run is None or self._store.folder(result.run).is_dir()

    def _gates(self, task: Task, result: Result) -> tuple[Checked, ...]:
        def run_of(step: str | None) -> Run:
            name = result.run if step is None else self.outcomes[task.read[step]].run
            if name is None:
                raise UsageError(f"{step or task.name} made no run, so its gate has nothing to compare")
            return self._store.get(name)

        return tuple(check(gate, run_of) for gate in task.gates)

    def _failed(
        self,
        task: Task,
        message: str,
        command: str | None,
        started: float,
        head: str,
        result: Result | None = None,
        gates: tuple[Checked, ...] = (),
    ) -> None:
        status = "skipped" if task.step.optional else "failed"
        self._add(task, status, result, gates, command, message, started)
        self._say(f"{head}: {'left out' if task.step.optional else 'failed'}: {message}")
        if not task.step.optional and (task.step.on_error or self._script.on_error) == "stop":
            self.stopped, self.over = f"{task.name} failed", bool(gates)

    def _missing(self, task: Task) -> str:
        """Why a task cannot begin."""
        for reference, names in task.sources.items():
            there = [name for name in names if self._usable(name, task)]
            if not there or (not reference.many and len(there) < len(names)):
                return f"{', '.join(names)} {'have' if len(names) > 1 else 'has'} no run that can be used"
        for name in task.read.values():
            if not self.outcomes[name].good:
                return f"{name} has no run that can be used"
        for name in task.after:
            if not self._usable(name, task) and name not in self._optional:
                return f"{name} was not done"
        return ""

    def _usable(self, name: str, task: Task) -> bool:
        """A report also takes a run whose gate did not hold: it is then wanted most."""
        outcome = self.outcomes[name]
        return outcome.good or (task.step.verb == "report" and outcome.run is not None)

    def _runs(self, task: Task) -> dict[str, str]:
        return {name: each.run for name, each in self.outcomes.items() if each.run and self._usable(name, task)}

    def _add(
        self,
        task: Task,
        status: str,
        result: Result | None = None,
        gates: tuple[Checked, ...] = (),
        command: str | None = None,
        message: str = "",
        since: float | None = None,
    ) -> None:
        self.outcomes[task.name] = StepOutcome.model_validate(
            {
                **(result.model_dump() if result else {}),
                "name": task.name,
                "verb": task.step.verb,
                "status": status,
                "seconds": round(time.monotonic() - since, 3) if since is not None else 0.0,
                "command": command,
                "message": message,
                "gates": gates,
                "optional": task.step.optional,
            }
        )
