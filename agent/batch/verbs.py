"""What a step can do: the request of each verb, checked as far as it can be before anything runs."""

import hashlib
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import Field

from analyzers.errors import LayerwiseError, UsageError
from analyzers.records import AnalyzeRequest, CompressRequest, PlanRequest, Record
from analyzers.requests import KINDS, REQUESTS, ExportRequest, listed
from knowledge.files import write_whole
from tools.workspace import Workspace


class AskRequest(Record):
    """A request to the agent in plain language."""

    text: str = Field(min_length=1)
    llm: str | None = None  # auto, offline, ollama:MODEL or openai:MODEL; None: as the settings say


class OpinionRequest(Record):
    """What language models would remove."""

    run: str
    llms: tuple[str, ...] = Field(min_length=1)


class ReportRequest(Record):
    """One file about runs."""

    runs: tuple[str, ...] = Field(min_length=1)
    out: str
    language: Literal["en", "zh"] = "en"  # of its headings and words
    llm: str | None = None  # who tells it in words; None: the templates
    compare: bool = False  # the runs side by side, without what they came from


FORMS: dict[str, type[Record]] = {**REQUESTS, "ask": AskRequest, "opinion": OpinionRequest, "report": ReportRequest}
ACCEPTS = {  # steps whose run a field takes
    "analysis": ("analyze", "ask"),
    "plan": ("plan", "ask"),
    "model": ("train", "compress", "export", "ask"),
    "run": ("analyze", "plan", "ask"),
    "runs": (*REQUESTS, "ask"),
}
LANGUAGE_MODELS = ("auto", "offline")
SCRATCH = Path("batches") / "scratch"  # in the home


def build(verb: str, given: Mapping[str, Any], home: Path) -> Record:
    """The request of a step whose variables are all put in.

    Raises:
        ValidationError: a field is missing, unknown or of the wrong type.
        UsageError: a value is not allowed.
    """
    return FORMS[verb].model_validate(_read(verb, given, home))


def build_part(verb: str, given: Mapping[str, Any], wrong: Collection[str], home: Path) -> Record:
    """What can be read of a request some of whose fields are wrong, so that the others are looked at too.

    Raises:
        UsageError: a value is not allowed.
    """
    good = {name: value for name, value in given.items() if name not in wrong and name in FORMS[verb].model_fields}
    return FORMS[verb].model_construct(**_read(verb, good, home))


def _read(verb: str, given: Mapping[str, Any], home: Path) -> dict[str, Any]:
    form = FORMS[verb]
    fields: dict[str, Any] = {}
    for name, value in given.items():
        field = form.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is tuple:
            value = list(_flat(value)) if isinstance(value, list) else value
            value = [value] if isinstance(value, int | float) else value
        elif field is not None and isinstance(value, int | float) and _is_text(field.annotation):
            value = str(value)  # a folder or a set that is called by a number
        fields[name] = value
    if verb == "train" and isinstance(fields.get("from_scratch"), dict):
        fields["from_scratch"] = str(scratch_file(fields["from_scratch"], home))
    return listed(form, fields)


def scratch_file(config: Mapping[str, Any], home: Path) -> Path:
    """Where the configuration of a new encoder is kept; the name says what it holds, so it is never another one.

    Raises:
        UsageError: a key or a value is not allowed.
    """
    from pydantic import ValidationError

    from analyzers.scratch import ScratchConfig

    try:
        ScratchConfig.model_validate(dict(config))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "from_scratch"
        raise UsageError(
            f"from_scratch: {where}: {first['msg'].removeprefix('Value error, ')}; allowed keys: "
            f"{', '.join(ScratchConfig.model_fields)}"
        ) from None
    return home / SCRATCH / f"{hashlib.sha256(_config(config)).hexdigest()[:16]}.yaml"


def write_scratch(given: Mapping[str, Any], home: Path) -> None:
    """Write the configuration that a training needs, if it stands in the script.

    Raises:
        StorageError: the disk is full or not writable.
    """
    config = given.get("from_scratch")
    if isinstance(config, dict) and not (path := scratch_file(config, home)).exists():
        write_whole(path, _config(config))


def _config(config: Mapping[str, Any]) -> bytes:
    return yaml.safe_dump(dict(config), sort_keys=True).encode()


def placeholder(verb: str, field: str) -> str:
    """An id in the place of a run that is not made yet."""
    by_field = {"analysis": "analysis", "plan": "plan", "model": "train", "run": "analysis"}
    return f"{KINDS.get(verb) or by_field.get(field, 'train')}-000000"


def faults(request: Record, given: Mapping[str, Any], workspace: Workspace) -> Iterator[tuple[str, str]]:
    """Field and message of what is wrong with a request, without loading a model. Runs that are not made yet are passed over.

    Args:
        request: with placeholders for them.
        given: the fields as they stand in the script, the matrix put in.
        workspace: where named runs have to be.
    """
    for name, check in _CHECKS.items():
        value = getattr(request, name, None)
        if value is None or "${" in str(given.get(name, "")):
            continue
        try:
            check(value, request, workspace)
        except LayerwiseError as problem:
            yield name, str(problem)


def _model(value: str, request: Record, workspace: Workspace) -> None:
    from analyzers.references import parse_model

    if isinstance(request, REQUESTS["train"]) and request.from_scratch:  # type: ignore[attr-defined]
        return
    if isinstance(request, ExportRequest) and value.startswith("plan-"):
        workspace.runs.get(value)
        return
    if parse_model(value).kind == "run":
        workspace.runs.get(value)


def _data(value: str, _: Record, __: Workspace) -> None:
    from analyzers.references import parse_data

    parse_data(value)


def _run(value: str | tuple[str, ...], _: Record, workspace: Workspace) -> None:
    for each in (value,) if isinstance(value, str) else value:
        workspace.runs.get(each)


def _methods(value: tuple[str, ...], request: Record, _: Workspace) -> None:
    from analyzers.importance import choose

    if isinstance(request, AnalyzeRequest):
        choose(value)


def _quantize(value: str, request: Record, _: Workspace) -> None:
    from analyzers.compression import quantization

    if isinstance(request, CompressRequest) and value != quantization.PLAIN:
        quantization.find(value)


def _precisions(value: tuple[str, ...], request: Record, _: Workspace) -> None:
    from analyzers.compression import quantization

    if isinstance(request, PlanRequest):
        for name in value:
            if name not in ("all", quantization.PLAIN):
                quantization.find(name)


def _heal_data(value: tuple[str, ...], request: Record, workspace: Workspace) -> None:
    for name in value:
        _data(name, request, workspace)


def _format(value: str, _: Record, __: Workspace) -> None:
    from analyzers.compression.formats import names

    if value not in names():
        raise UsageError(f"no format {value!r}; there are: {', '.join(names())}")


def _scratch(value: str, _: Record, workspace: Workspace) -> None:
    from analyzers.scratch import read_config

    if Path(value).parent != workspace.home / SCRATCH:  # what stands in the script was checked already
        read_config(Path(value))


def _llm(value: str | tuple[str, ...], _: Record, __: Workspace) -> None:
    for each in (value,) if isinstance(value, str) else value:
        provider, colon, model = each.partition(":")
        if each not in LANGUAGE_MODELS and not (provider in ("ollama", "openai") and colon and model):
            raise UsageError(f"no language model {each!r}; allowed are: auto, offline, ollama:MODEL, openai:MODEL")


def _out(value: str, _: Record, __: Workspace) -> None:
    from tools.report import SUFFIXES

    path = Path(value).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"cannot write {value!r}: a report ends in {', '.join(SUFFIXES)}")
    if path.is_dir():
        raise UsageError(f"{value} is a folder; name a file in it")


_CHECKS: dict[str, Callable[[Any, Record, Workspace], None]] = {
    "model": _model,
    "data": _data,
    "analysis": _run,
    "plan": _run,
    "run": _run,
    "runs": _run,
    "methods": _methods,
    "quantize": _quantize,
    "precisions": _precisions,
    "heal_data": _heal_data,
    "format": _format,
    "from_scratch": _scratch,
    "llm": _llm,
    "llms": _llm,
    "out": _out,
}


def _flat(values: list[Any]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, list):
            yield from _flat(each)
        else:
            yield each


def _is_text(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, types.UnionType):
        return {str} == {part for part in get_args(annotation) if part is not type(None)}
    return annotation is str
