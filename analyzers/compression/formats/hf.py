"""A Hugging Face folder: safetensors, config.json and the tokenizer, opened by plain transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # this file is also run where the project is not to be known
    from analyzers.compression.formats import Subject

TITLE = "Hugging Face folder"
RUNTIME = "transformers"
MAIN = ""
CUTS_GGUF = False
PRECISIONS = ()


def check(subject: Subject) -> None:  # noqa: ARG001 - whatever was opened by transformers can be saved by it
    return


def lower(model: Any, precision: str) -> None:
    """Of PRECISIONS there is none."""


def bytes_needed(subject: Subject) -> int:
    from analyzers.weights import weight_bytes

    return weight_bytes(subject.model)


def write(subject: Subject, folder: Path) -> None:
    # Transformers cannot turn a quantized checkpoint that it opened back into the names of the original one.
    opened = getattr(getattr(subject.model, "hf_quantizer", None), "pre_quantized", False)
    subject.model.save_pretrained(folder, save_original_format=not opened)
    subject.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(subject.card, encoding="utf-8")


def commands(subject: Subject, folder: Path) -> list[str]:  # noqa: ARG001
    return []


def usage(name: str, causal: bool) -> tuple[str, str]:  # noqa: ARG001
    auto = f"AutoModelFor{'CausalLM' if causal else 'SequenceClassification'}"
    folder = 'from_pretrained("path/to/this/folder")'
    return (
        "python",
        f"from transformers import {auto}, AutoTokenizer\n\n"
        f"model = {auto}.{folder}\ntokenizer = AutoTokenizer.{folder}",
    )


def opened(path: str, architecture: str) -> tuple[Callable[..., Any], tuple[bool, ...]]:
    import transformers

    causal = architecture == "causal"
    auto = transformers.AutoModelForCausalLM if causal else transformers.AutoModelForSequenceClassification
    model, report = auto.from_pretrained(path, output_loading_info=True)
    broken = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if broken:
        raise SystemExit(f"weights that do not fit: {broken[:3]}")
    return model.eval(), (False, True) if causal else ()


def opened_tokenizer(path: str) -> Any:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(path)
