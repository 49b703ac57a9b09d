"""Requests that stand beside those in `records`, which is as long as a file here may be, and requests out of words."""

import shlex
from collections.abc import Mapping
from typing import Any, ClassVar, get_origin

from pydantic import Field, ValidationError

from analyzers.errors import UsageError
from analyzers.records import (
    AnalyzeRequest,
    CompressRequest,
    EvaluateRequest,
    PlanRequest,
    Record,
    Request,
    TrainRequest,
)


class ExportRequest(Request):
    verb: ClassVar[str] = "export"
    positional: ClassVar[tuple[str, ...]] = ("model",)

    model: str  # as for every verb, or a plan: the model that it was made for, without the layers that it removes
    format: str = "hf"  # one of analyzers.compression.formats
    remove: tuple[int, ...] = Field(default=())  # layers of a model that no plan goes with
    precision: str | None = None  # one of the format's; None: as the model is
    output: str | None = None  # the folder to make; None: in the folder of the run


REQUESTS: dict[str, type[Request]] = {
    each.verb: each
    for each in (TrainRequest, AnalyzeRequest, PlanRequest, CompressRequest, EvaluateRequest, ExportRequest)
}
KINDS = dict(zip(REQUESTS, ("train", "analysis", "plan", "compression", "evaluation", "export"), strict=True))


def listed(record: type[Record], fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with `fisher,shap` as a list where the request wants one."""
    return {
        name: [part.strip() for part in value.split(",") if part.strip()] if _many(record, name, value) else value
        for name, value in fields.items()
    }


def parse_command(command: str) -> Request:
    """The request whose `command()` this is.

    Raises:
        UsageError: no request has this command; it was changed by hand, or is of another version.
    """
    try:
        program, verb, *words = shlex.split(command)
        record = REQUESTS[verb] if program == "layerwise" else None
        if record is None:
            raise ValueError
        fields: dict[str, Any] = dict(zip(record.positional, words, strict=False))
        words = words[len(record.positional) :]
        flags = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
        fields |= dict(zip(flags, words[1::2], strict=True))
        return record.model_validate(listed(record, fields))
    except (ValueError, KeyError, ValidationError):
        raise UsageError(
            f"{command!r} is no command of a workflow of this version; those are: {', '.join(REQUESTS)}"
        ) from None


def _many(record: type[Record], name: str, value: Any) -> bool:
    field = record.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is tuple and isinstance(value, str)
