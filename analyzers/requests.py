"""Requests that stand beside those in `records`, which is as long as a file here may be."""

from typing import ClassVar

from pydantic import Field

from analyzers.records import Request


class ExportRequest(Request):
    verb: ClassVar[str] = "export"
    positional: ClassVar[tuple[str, ...]] = ("model",)

    model: str  # as for every verb, or a plan: the model that it was made for, without the layers that it removes
    format: str = "hf"  # one of analyzers.compression.formats
    remove: tuple[int, ...] = Field(default=())  # layers of a model that no plan goes with
    output: str | None = None  # the folder to make; None: in the folder of the run
