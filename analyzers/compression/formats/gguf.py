"""One GGUF file for llama.cpp and Ollama, with a Modelfile; opened by the GGUF loader of transformers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # this file is also run where the project is not to be known
    from analyzers.compression.formats import Subject
    from analyzers.compression.llamacpp.cutting import Cut

TITLE = "GGUF file with an Ollama Modelfile"
RUNTIME = "transformers"
MAIN = "model.gguf"
CUTS_GGUF = True
PRECISIONS = ("f16", "q8_0")
_FULL = "f32"


def check(subject: Subject) -> None:
    from analyzers.compression.formats import check_plain
    from analyzers.compression.llamacpp import converting

    if not _cut(subject):
        check_plain(subject, "gguf")
        converting.check(subject.model, subject.tokenizer, subject.origin)


def lower(model: Any, precision: str) -> None:
    from analyzers.compression.llamacpp import converting

    converting.lower(model, precision)


def bytes_needed(subject: Subject) -> int:
    from analyzers.compression.llamacpp import converting

    cut = _cut(subject)
    return cut.bytes_needed() if cut else converting.bytes_of(subject.model, subject.precision or _FULL)


def write(subject: Subject, folder: Path) -> None:
    from analyzers.compression.llamacpp import converting, ollama

    if cut := _cut(subject):
        cut.write(folder / MAIN)
    else:
        precision = subject.precision or _FULL
        converting.write(subject.model, subject.tokenizer, subject.name, subject.origin, folder / MAIN, precision)
    (folder / "Modelfile").write_text(ollama.modelfile(subject.name), encoding="utf-8")
    (folder / "README.md").write_text(subject.card, encoding="utf-8")


def commands(subject: Subject, folder: Path) -> list[str]:
    from analyzers.compression.llamacpp import ollama

    return ollama.commands(subject.name, folder)


def usage(name: str, causal: bool) -> tuple[str, str]:  # noqa: ARG001
    from analyzers.compression.llamacpp import ollama

    return "sh", "\n".join(ollama.commands(name, Path()))


def opened(path: str, architecture: str) -> tuple[Callable[..., Any], tuple[bool, ...]]:  # noqa: ARG001
    import torch
    import transformers

    file = Path(path)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(
        str(file.parent),
        gguf_file=file.name,
        dtype=torch.float32,
        quantization_config=transformers.GgufConfig(dequantize=True),
        output_loading_info=True,
    )
    if report["missing_keys"]:
        raise SystemExit(f"weights are missing: {sorted(report['missing_keys'])[:3]}")
    return model.eval(), (False, True)


def opened_tokenizer(path: str) -> Any:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(str(Path(path).parent), gguf_file=Path(path).name)


def _cut(subject: Subject) -> Cut | None:
    if not subject.cut or not subject.origin:
        return None
    return _read(subject.origin, subject.cut, subject.origin.stat().st_mtime_ns)


@lru_cache(maxsize=1)  # a vocabulary of 49,152 tokens takes three seconds to read, and three steps need it
def _read(path: Path, remove: tuple[int, ...], changed: int) -> Cut:  # noqa: ARG001
    from analyzers.compression.llamacpp.cutting import Cut

    return Cut(path, remove)
