"""A batch script as it is written: variables, a matrix, and steps. Reading one finds every fault of its form at once."""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, ValidationError

from agent.batch.gates import SUBJECTS
from agent.batch.marks import Marked, Path, Problem, read, refused
from agent.batch.variables import NAME, Filler, secret_names
from analyzers.errors import BadScript, UsageError
from analyzers.records import Record

OnError = Literal["stop", "continue"]
VERBS = ("train", "analyze", "plan", "compress", "evaluate", "export", "ask", "opinion", "report")
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(given: Any) -> float:
    found = _TIME.fullmatch(str(given).strip())
    if not found or float(found[1]) == 0:
        raise ValueError("is no time; write a number with its unit: 90s, 30m, 2h")
    return float(found[1]) * _UNITS[found[2]]


def _listed(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Step(Record):
    """One step; `given` are the fields of its verb as they stand in the script."""

    place: int  # in the list of steps
    name: str
    verb: str
    given: dict[str, Any]
    needs: tuple[str, ...] = ()
    gates: tuple[str, ...] = ()
    on_error: OnError | None = None  # None: as the script says
    time_limit: float | None = None  # seconds
    fresh: bool = False  # never taken from history
    optional: bool = False  # where it cannot be done, the batch does not fail


class Script(Record):
    name: str
    about: str = ""
    variables: dict[str, Any] = Field(default={})
    matrix: dict[str, list[Any]] = Field(default={})
    on_error: OnError = "stop"
    steps: tuple[Step, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values of variables whose names say that they are secret."""
        return secret_names({**self.variables, **self.matrix})


class Read(NamedTuple):
    """A script, where everything in it stands, and the faults that were found so far."""

    script: Script
    marked: Marked
    file: str
    problems: tuple[Problem, ...]


class _Form(Record):
    """The top of the file."""

    name: str = ""
    about: str = ""
    variables: dict[str, Any] | None = None
    matrix: dict[str, Any] | None = None
    on_error: OnError = "stop"
    steps: list[Any] = Field(min_length=1)


class _StepForm(Record):
    """A step without its verb."""

    name: str | None = Field(default=None, pattern=f"^{NAME.pattern}$")
    needs: Names = ()
    gates: Names = Field(default=(), alias="assert")
    on_error: OnError | None = None
    time_limit: Annotated[float, BeforeValidator(_seconds)] | None = None
    fresh: bool = False
    optional: bool = False


def read_script(path: FilePath, given: Mapping[str, Any]) -> Read:
    """Read a script and put in its variables; those of the matrix and of other steps stay.

    Args:
        path: the file.
        given: values that go before those of the file.

    Returns:
        The script, with the faults of its form: `expand` finds the others and raises them all.

    Raises:
        BadScript: it cannot be read, or there are no steps in it.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "not UTF-8"
        raise BadScript(
            f"cannot read {path}: {reason}; a script is a YAML file, or one that ships: layerwise batch --list"
        ) from None
    return parse_script(text, str(path), given, path.stem)


def parse_script(text: str, file: str, given: Mapping[str, Any], name: str) -> Read:
    """As `read_script`, from the text."""
    marked = read(text, file)
    problems: list[Problem] = []
    form = _checked(_Form, marked.content, (), marked, problems)
    if form is None:
        raise refused(file, problems)
    variables, matrix = form.variables or {}, form.matrix or {}
    _check_names(variables, matrix, marked, problems)
    there = ", ".join([*variables, *matrix]) or "none"
    for each in given:
        if each not in variables and each not in matrix:
            problems.append(
                Problem(marked.of(()), f"--set {each}: the script has no such variable; there are: {there}")
            )
    variables = {key: given.get(key, value) for key, value in variables.items()}
    for key, value in variables.items():
        if value is None:
            where = marked.of(("variables", key))
            problems.append(Problem(where, f"variable {key!r} has no value; give one here, or with --set {key}=VALUE"))
    filler = Filler(variables, tuple(matrix), marked, problems)
    axes = {key: given.get(key, filler.fill(values, ("matrix", key))) for key, values in matrix.items()}
    found = [_step(raw, place, filler) for place, raw in enumerate(form.steps)]
    steps = tuple(each for each in found if each)
    _check_unique(steps, marked, problems)
    script = Script(
        name=form.name or name,
        about=form.about,
        variables=variables,
        matrix={key: values if isinstance(values, list) else [values] for key, values in axes.items()},
        on_error=form.on_error,
        steps=steps,
    )
    _check_matrix(script, marked, problems)
    return Read(script, marked, file, tuple(problems))


def _step(raw: Any, place: int, filler: Filler) -> Step | None:
    """One step; None where it cannot be told what it is to do."""
    path: Path = ("steps", place)
    marked, problems = filler.marked, filler.problems
    if not isinstance(raw, dict):
        problems.append(Problem(marked.of(path), f"a step has a verb and its fields, such as {_EXAMPLE}"))
        return None
    verbs = [key for key in raw if key in VERBS]
    beside = [field.alias or key for key, field in _StepForm.model_fields.items()]
    strange = [key for key in raw if key not in (*VERBS, *beside)]
    for key in strange:
        told = (
            f"unknown step or field {key!r}; steps are: {', '.join(VERBS)}; beside them may stand: {', '.join(beside)}"
        )
        problems.append(Problem(marked.key((*path, key)), told))
    if len(verbs) != 1:
        what = f"{' and '.join(verbs)} stand in one step" if verbs else "the step does nothing"
        if verbs or not strange:
            told = f"{what}; it needs exactly one of: {', '.join(VERBS)}, such as {_EXAMPLE}"
            problems.append(Problem(marked.of(path), told))
        return None
    verb = verbs[0]
    rest = {key: filler.fill(raw[key], (*path, key), keep=key == "assert") for key in beside if key in raw}
    form = _checked(_StepForm, rest, path, marked, problems)
    given = filler.fill(raw[verb], (*path, verb), keep=True)
    if verb == "ask" and isinstance(given, str):
        given = {"text": given}
    if not isinstance(given, dict):
        told = f"{verb} takes fields (KEY: VALUE), not {given!r}; such as {_EXAMPLE}"
        problems.append(Problem(marked.of((*path, verb)), told))
        return None
    return Step(place=place, name=form.name or verb, verb=verb, given=given, **form.model_dump(exclude={"name"}))


_EXAMPLE = "train: {model: demo:minilm, data: demo:amazon}"


def _checked(record: Any, content: Any, path: Path, marked: Marked, problems: list[Problem]) -> Any:
    if not isinstance(content, dict):
        problems.append(Problem(marked.of(path), f"a script is KEY: VALUE with steps, not {type(content).__name__}"))
        return None
    try:
        return record.model_validate(content)
    except ValidationError as error:
        problems += [problem_of(each, path, marked) for each in error.errors()]
        wrong = {each["loc"][0] for each in error.errors() if each["loc"]}
    try:  # the other fields say what else is to be looked at
        return record.model_validate({name: value for name, value in content.items() if name not in wrong})
    except ValidationError:
        return None


def problem_of(error: Any, path: Path, marked: Marked) -> Problem:
    """One fault that pydantic found, at its place in the script."""
    where: Path = (*path, *error["loc"])
    name = str(error["loc"][0]) if error["loc"] else ""
    if error["type"] == "extra_forbidden":
        return Problem(marked.key(where), f"unknown field {name!r}")
    if error["type"] == "missing":
        return Problem(marked.of(path), f"{name!r} is missing")
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not name:
        return Problem(marked.of(where), message)
    joined = f"is {error['input']!r}: {message}"
    if message.startswith("is "):
        joined = f"{error['input']!r} {message}"
    elif message.startswith("should"):
        joined = f"is {error['input']!r}: it {message}"
    return Problem(marked.of(where), f"{name} {joined}")


def _check_names(variables: dict[str, Any], matrix: dict[str, Any], marked: Marked, problems: list[Problem]) -> None:
    for part, names in (("variables", variables), ("matrix", matrix)):
        for name in names:
            if not NAME.fullmatch(name):
                problems.append(
                    Problem(marked.key((part, name)), f"{name!r} is no name; allowed are letters, digits and _")
                )
    for name in matrix:
        if name in variables:
            problems.append(Problem(marked.key(("matrix", name)), f"{name!r} is a variable too; give it another name"))


def _check_unique(steps: tuple[Step, ...], marked: Marked, problems: list[Problem]) -> None:
    seen: set[str] = set()
    for step in steps:
        where = marked.of(("steps", step.place, "name"))
        if step.name in seen:
            problems.append(Problem(where, f"two steps are called {step.name!r}; give one another `name`"))
        if step.name in SUBJECTS:
            problems.append(
                Problem(where, f"{step.name!r} is what gates call a model by; give the step another `name`")
            )
        seen.add(step.name)


def _check_matrix(script: Script, marked: Marked, problems: list[Problem]) -> None:
    for name, values in script.matrix.items():
        where = marked.of(("matrix", name))
        if not values:
            problems.append(Problem(where, f"{name!r} has no values; give a list, such as [1, 2]"))
        if any(isinstance(each, dict) or each is None for each in values):
            problems.append(Problem(where, f"{name!r} has a value that is neither a word, a number nor a list of them"))
        if len({repr(each) for each in values}) < len(values):
            problems.append(Problem(where, f"{name!r} has a value twice: {values}"))


def settings_of(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`ratio=2` and `seeds=[0, 1]` as values; each is read as YAML.

    Raises:
        UsageError: it is no NAME=VALUE.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not NAME.fullmatch(name):
            raise UsageError(f"--set {pair!r}: write NAME=VALUE, such as --set ratio=2 or --set seeds=[0,1]")
        content = read(value, f"--set {name}").content if value.strip() else ""
        found[name] = value if content is None else content
    return found
