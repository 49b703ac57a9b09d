"""`${name}` in a script: variables, values of the matrix, and runs of other steps (`${train.run}`, `${plan.runs}`)."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from agent.batch.marks import Marked, Path, Problem

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USE = re.compile(r"\$\{([^}]*)\}")
_STEP = re.compile(rf"({NAME.pattern})\.(run|runs)")
_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


class Reference(NamedTuple):
    """The run of another step, or the runs of all its combinations."""

    step: str
    many: bool


class Filler(NamedTuple):
    """Puts variables into parts of a script, and finds names that stand for nothing."""

    variables: Mapping[str, Any]  # None: it has no value, which was said where it stands
    axes: Collection[str]  # names of the matrix
    marked: Marked
    problems: list[Problem]  # what is found is added

    def fill(self, value: Any, path: Path, *, keep: bool = False) -> Any:
        """The value with its variables put in. What is nothing but `${name}` keeps the type that the variable has.

        Args:
            value: any part of a script.
            path: where it stands.
            keep: whether it may speak of the matrix and of other steps; those stay as they are.
        """
        if isinstance(value, dict):
            return {key: self.fill(each, (*path, key), keep=keep) for key, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each, (*path, place), keep=keep) for place, each in enumerate(value)]
        for name in names_in(value):
            if problem := self._problem(name, keep):
                self.problems.append(Problem(self.marked.of(path), problem))
        return put(value, {name: known for name, known in self.variables.items() if known is not None})

    def _problem(self, name: str, keep: bool) -> str:
        elsewhere = name in self.axes or _STEP.fullmatch(name) is not None
        if name in self.variables or (keep and elsewhere):
            return ""
        if elsewhere:
            return f"${{{name}}} may only stand in the fields of a step's verb and its `assert`"
        there = ", ".join([*self.variables, *self.axes]) or "none"
        return f"there is no variable {name!r}; there are: {there}; runs of steps are written ${{STEP.run}}"


def put(value: Any, values: Mapping[str, Any]) -> Any:
    """The value with those names put in that are known; others stay."""
    if isinstance(value, dict):
        return {key: put(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [put(each, values) for each in value]
    if not isinstance(value, str):
        return value
    whole = _USE.fullmatch(value)
    if whole and whole[1] in values:
        return values[whole[1]]
    return _USE.sub(lambda use: _text(values[use[1]]) if use[1] in values else use[0], value)


def names_in(value: Any) -> list[str]:
    """All names that a value uses, in their order."""
    if isinstance(value, dict):
        return [name for each in value.values() for name in names_in(each)]
    if isinstance(value, list | tuple):
        return [name for each in value for name in names_in(each)]
    return _USE.findall(value) if isinstance(value, str) else []


def references(value: Any) -> list[Reference]:
    """The steps whose runs a value uses."""
    found = [_STEP.fullmatch(name) for name in names_in(value)]
    return list(dict.fromkeys(Reference(each[1], each[2] == "runs") for each in found if each))


def secret_names(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Values of the variables that are called key, token, secret or password."""
    found = [value for name, value in variables.items() if _SECRET.search(name)]
    each_alone = [part for value in found for part in (value if isinstance(value, list) else [value])]
    return tuple(str(part) for part in each_alone if part not in (None, ""))


def _text(value: Any) -> str:
    return ",".join(map(_text, value)) if isinstance(value, list) else str(value)
