"""From steps to tasks: a step is done once for each combination of the matrix values that it uses.

It uses those that it names, and those of the steps whose run it takes (`${train.run}`) or whose values its gates read.
`${train.runs}` takes the runs of all combinations and adds none.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pydantic import ValidationError

from agent.batch.gates import Gate, parse
from agent.batch.marks import Marked, Path, Problem, refused
from agent.batch.script import Read, Step, problem_of
from agent.batch.variables import Reference, names_in, put, references
from agent.batch.verbs import ACCEPTS, FORMS, build, build_part, faults, placeholder
from analyzers.errors import LayerwiseError
from analyzers.records import Record
from tools.workspace import Workspace

MOST_TASKS = 1000


@dataclass(frozen=True)
class Task:
    """A step with one combination of matrix values."""

    name: str  # plan, or plan[ratio=2, seed=0]
    step: Step
    given: dict[str, Any]  # fields; only runs of other steps are still to be put in
    gates: tuple[Gate, ...]
    sources: dict[Reference, tuple[str, ...]]  # tasks whose runs it takes
    read: dict[str, str]  # step that a gate names -> task
    after: tuple[str, ...]  # tasks that it only waits for

    @property
    def waits(self) -> tuple[str, ...]:
        """Every task that comes before this one."""
        taken = [name for names in self.sources.values() for name in names]
        return tuple(dict.fromkeys([*taken, *self.read.values(), *self.after]))

    def fields(self, runs: Mapping[str, str]) -> dict[str, Any]:
        """The fields with the runs of other tasks put in.

        Args:
            runs: task -> run id; what `${STEP.runs}` names and is not there is left out.
        """
        values: dict[str, Any] = {}
        for source, names in self.sources.items():
            ids = [runs[name] for name in names if name in runs]
            if source.many:
                values[f"{source.step}.runs"] = ids
            elif ids:
                values[f"{source.step}.run"] = ids[0]
        filled: dict[str, Any] = put(self.given, values)
        return filled


def expand(read: Read, workspace: Workspace) -> list[Task]:
    """All tasks of a script, each after those that it needs, checked as far as possible.

    Raises:
        BadScript: unknown steps, a cycle, values that are not allowed; every fault with line and column.
    """
    script, marked = read.script, read.marked
    problems = list(read.problems)
    steps = {step.name: step for step in script.steps}
    places = {step.name: step.place for step in script.steps}
    first = {name: values[0] for name, values in script.matrix.items() if values}
    gates = {step.name: _gates(step, first, steps, marked, problems) for step in script.steps}
    for step in script.steps:
        _check_references(step, steps, marked, problems)
    if problems:  # the values of each step are looked at all the same, so that everything is said at once
        alone = [Task(step.name, step, put(step.given, first), (), {}, {}, ()) for step in script.steps]
        raise refused(read.file, problems + _checked(alone, steps, workspace, marked))
    named = {
        step.name: {each.step for each in references(step.given)} | _read_by(gates[step.name]) for step in script.steps
    }
    try:
        order = _order({name: {*named[name], *steps[name].needs} for name in steps}, places)
    except CycleError as cycle:
        ring = cycle.args[1]
        where = marked.of(("steps", min(places[name] for name in ring)))
        told = f"these steps wait for one another: {' -> '.join(reversed(ring))}"
        raise refused(read.file, [Problem(where, told)]) from None
    axes: dict[str, list[str]] = {}
    for name in order:
        step = steps[name]
        taken = [each.step for each in references(step.given) if not each.many] + sorted(_read_by(gates[name]))
        used = {*names_in(step.given), *names_in(step.gates)} | {axis for other in taken for axis in axes[other]}
        axes[name] = [axis for axis in script.matrix if axis in used]
    made: dict[str, list[tuple[dict[str, Any], Task]]] = {}
    for name in order:
        combinations = itertools.product(*(script.matrix[axis] for axis in axes[name]))
        for values in (dict(zip(axes[name], each, strict=True)) for each in combinations):
            task = _task(steps[name], values, made, steps, marked, problems)
            made.setdefault(name, []).append((values, task))
            if sum(map(len, made.values())) > MOST_TASKS:
                told = f"the matrix asks for more than {MOST_TASKS:,} steps; leave out some of its values"
                raise refused(read.file, [Problem(marked.key(("matrix",)), told)])
    tasks = [task for name in order for _, task in made[name]]
    problems += _checked(tasks, steps, workspace, marked)
    if problems:
        raise refused(read.file, problems)
    return tasks


def _gates(
    step: Step,
    values: Mapping[str, Any],
    steps: Mapping[str, Step],
    marked: Marked,
    problems: list[Problem],
) -> tuple[Gate, ...]:
    found = []
    for number, text in enumerate(step.gates):
        try:
            found.append(parse(str(put(text, values)), steps))
        except LayerwiseError as problem:
            problems.append(Problem(marked.of(("steps", step.place, "assert", number)), str(problem)))
    if step.gates and step.verb in ("opinion", "report"):
        problems.append(Problem(marked.key(("steps", step.place, "assert")), f"a step {step.verb} measures nothing"))
    return tuple(found)


def _read_by(gates: tuple[Gate, ...]) -> set[str]:
    return {value.step for gate in gates for value in gate.values if value.step}


def _check_references(step: Step, steps: Mapping[str, Step], marked: Marked, problems: list[Problem]) -> None:
    there = ", ".join(steps)
    for name in step.needs:
        if name not in steps:
            problems.append(
                Problem(marked.of(("steps", step.place, "needs")), f"there is no step {name!r}; there are: {there}")
            )
    for field, value in step.given.items():
        path: Path = ("steps", step.place, step.verb, field)
        for reference in references(value):
            other = steps.get(reference.step)
            accepted = ACCEPTS.get(field)
            if other is None:
                problems.append(Problem(marked.of(path), f"there is no step {reference.step!r}; there are: {there}"))
            elif accepted is None:
                if field in FORMS[step.verb].model_fields:
                    problems.append(Problem(marked.of(path), f"{field} of {step.verb} takes no run"))
            elif other.verb not in accepted and not (step.verb == "export" and other.verb == "plan"):
                told = f"{field} of {step.verb} takes a run of {' or '.join(accepted)}, and {other.name} is a step {other.verb}"
                problems.append(Problem(marked.of(path), told))
            elif reference.many and field != "runs":
                told = f"{field} of {step.verb} takes one run; write ${{{reference.step}.run}}"
                problems.append(Problem(marked.of(path), told))


def _order(graph: Mapping[str, set[str]], places: Mapping[str, int]) -> list[str]:
    """Each step after those that it needs; otherwise as they stand in the script."""
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    order: list[str] = []
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=lambda name: places[name])
        order.append(ready.pop(0))
        sorter.done(order[-1])
    return order


def _task(
    step: Step,
    values: dict[str, Any],
    made: Mapping[str, list[tuple[dict[str, Any], Task]]],
    steps: Mapping[str, Step],
    marked: Marked,
    problems: list[Problem],
) -> Task:
    def tasks_of(other: str) -> tuple[str, ...]:
        return tuple(
            task.name
            for theirs, task in made[other]
            if all(values.get(axis, own) == own for axis, own in theirs.items())
        )

    gates = _gates(step, values, steps, marked, problems)
    about = ", ".join(f"{axis}={_word(value)}" for axis, value in values.items())
    return Task(
        name=f"{step.name}[{about}]" if about else step.name,
        step=step,
        given=put(step.given, values),
        gates=gates,
        sources={each: tasks_of(each.step) for each in references(step.given)},
        read={other: tasks_of(other)[0] for other in sorted(_read_by(gates))},
        after=tuple(name for other in step.needs for name in tasks_of(other)),
    )


def _word(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _checked(tasks: list[Task], steps: Mapping[str, Step], workspace: Workspace, marked: Marked) -> list[Problem]:
    problems: list[Problem] = []
    written: dict[str, str] = {}
    for task in tasks:
        path: Path = ("steps", task.step.place, task.step.verb)
        request = _request(task, steps, workspace, path, marked, problems)
        if request is None:
            continue
        found = faults(request, task.given, workspace)
        problems += [Problem(marked.of((*path, field)), message) for field, message in found]
        if out := getattr(request, "out", None) or getattr(request, "output", None):
            if out in written:
                told = f"{written[out]} and {task.name} would both write {out}; put a value of the matrix into the name"
                problems.append(Problem(marked.of(path), told))
            written[out] = task.name
    return problems


def _request(
    task: Task, steps: Mapping[str, Step], workspace: Workspace, path: Path, marked: Marked, problems: list[Problem]
) -> Record | None:
    """The request with placeholders for runs that are still to be made."""
    given = {}
    for field, value in task.given.items():
        ids: dict[str, Any] = {}
        for reference in references(value):
            other = steps.get(reference.step)  # one that is not there was said already
            one = placeholder(other.verb if other else "", field)
            ids[f"{reference.step}.{'runs' if reference.many else 'run'}"] = [one] if reference.many else one
        given[field] = put(value, ids)
    verb = task.step.verb
    wrong = {field for field, value in given.items() if isinstance(value, bool)}
    for field in sorted(wrong):
        told = f"{field} is {given[field]!r}: no field of {verb} is true or false; a word needs quotes"
        problems.append(Problem(marked.of((*path, field)), told))
    try:
        try:
            return build(verb, {field: value for field, value in given.items() if field not in wrong}, workspace.home)
        except ValidationError as error:
            found = [each for each in error.errors() if not each["loc"] or not _open(given, each["loc"], wrong)]
            problems += [problem_of(each, path, marked) for each in found]
            wrong |= {str(each["loc"][0]) for each in error.errors() if each["loc"]}
            return build_part(verb, given, wrong, workspace.home)
    except LayerwiseError as problem:
        if not wrong:  # else what is said of the whole may come from the field that is missing now
            problems.append(Problem(marked.of(path), str(problem)))
    return None


def _open(given: Mapping[str, Any], where: tuple[str | int, ...], wrong: set[str]) -> bool:
    """Whether a field is wrong in a way that was said already: by its type, or by a name that stands for nothing."""
    return str(where[0]) in wrong or bool(names_in(given.get(str(where[0]))))
