"""Formats that a model is exported to. A new one is one new file in this folder: a module with the names of `Format`.

The file is run twice: here it writes, and in a fresh process, loaded by `verify.py` alone, it opens what was written. So
it imports nothing of this project at its top, and that process knows nothing but the format's own runtime.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from analyzers.errors import UnknownFormat
from analyzers.plugins import find_in, names_in


@dataclass(frozen=True)
class Subject:
    """What is to be written."""

    model: Any  # of transformers, in evaluation mode; None if `cut` is set: what is written comes from the file
    tokenizer: Any
    causal: bool  # a language model; otherwise it classifies texts
    name: str  # letters, digits, dots and dashes
    card: str  # README.md, Markdown
    origin: Path | None = (
        None  # the GGUF file that the model was opened from once: its tokenizer is taken over from there
    )
    cut: tuple[int, ...] = ()  # write `origin` itself without these layers, instead of the tensors of the model
    precision: str | None = None  # one of the format's, to which the model was lowered; None: as the model is


def check_plain(subject: Subject, form: str) -> None:
    """Refuse a quantized model where a format is written from full precision.

    Raises:
        UnknownFormat: it is quantized.
    """
    from analyzers.compression.quantization import precision_of

    if subject.model is not None and (found := precision_of(subject.model)):
        raise UnknownFormat(
            f"--format {form} is written from weights in full precision, and these are quantized to {found}; use --format hf, or "
            "export the model that was not quantized (compress the plan again without --quantize)"
        )


class Format(Protocol):
    """The names that the module of a format has."""

    __file__: str
    TITLE: str
    RUNTIME: str  # the distribution that opens it, for its version
    MAIN: str  # what is opened, relative to the folder; "" for the folder itself
    CUTS_GGUF: bool  # takes layers out of a GGUF file without computing anything anew
    PRECISIONS: tuple[str, ...]  # lower ones than that of the model, which it can be written in

    def check(self, subject: Subject) -> None:
        """Refuse, before anything is computed, what the format cannot hold.

        Raises:
            UnknownFormat: the model does not fit; the message says which do.
        """

    def lower(self, model: Any, precision: str) -> None:
        """Change the weights to what will be read back when they are written in one of PRECISIONS."""

    def bytes_needed(self, subject: Subject) -> int:
        """At least the size of what `write` will write."""
        ...

    def write(self, subject: Subject, folder: Path) -> None: ...

    def commands(self, subject: Subject, folder: Path) -> list[str]:
        """Commands of other programs that run the model, once it lies in `folder`."""
        ...

    def usage(self, name: str, causal: bool) -> tuple[str, str]:
        """Language and text of an example for the model card."""
        ...

    def opened(self, path: str, architecture: str) -> tuple[Callable[..., Any], tuple[bool, ...]]:
        """Open what was written, by the format's own runtime alone; in the fresh process.

        Args:
            path: of MAIN.
            architecture: "causal" or "classification".

        Returns:
            the model as `verify.outputs` calls it, and the settings of `use_cache` that it can write text with.
        """
        ...

    def opened_tokenizer(self, path: str) -> Any:
        """The tokenizer beside the model, or in it; in the fresh process."""
        ...


def names() -> list[str]:
    """All formats, without loading what they need."""
    return names_in(sys.modules[__name__])


def find(name: str) -> Format:
    """The format of that name.

    Raises:
        UnknownFormat: there is none.
    """
    found = find_in(
        sys.modules[__name__],
        name,
        lambda known: UnknownFormat(
            f"no export format {name!r}; there are: {', '.join(known)}: choose one with --format"
        ),
    )
    return cast(Format, found)
