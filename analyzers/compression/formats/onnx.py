"""An ONNX graph with free batch and length, opened by onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # this file is also run where the project is not to be known
    from analyzers.compression.formats import Subject

TITLE = "ONNX graph"
RUNTIME = "onnxruntime"
MAIN = "model.onnx"
CUTS_GGUF = False
PRECISIONS = ()
TRACED = (2, 9)  # rows and tokens of the inputs that the graph is traced with; 1 would be taken for fixed


def check(subject: Subject) -> None:
    from importlib.util import find_spec

    from analyzers.compression.formats import check_plain
    from analyzers.errors import UnknownFormat

    check_plain(subject, "onnx")

    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UnknownFormat(
            f"--format onnx needs {', '.join(missing)}, which this environment lacks; install them with: pip install "
            f"{' '.join(missing)}, or use --format hf"
        )


def lower(model: Any, precision: str) -> None:
    """Of PRECISIONS there is none."""


def bytes_needed(subject: Subject) -> int:
    from analyzers.weights import weight_bytes

    return weight_bytes(subject.model)


def write(subject: Subject, folder: Path) -> None:
    """Trace the model and write the graph, its configuration and its tokenizer.

    Raises:
        ModelError: the model computes something that has no counterpart in ONNX.
    """
    import torch

    from analyzers.compression.probes import input_names
    from analyzers.errors import ModelError

    names = input_names(subject.model, subject.tokenizer)
    inputs = {name: torch.ones(TRACED, dtype=torch.long) for name in names}
    with _quietly():
        try:
            program = torch.onnx.export(
                _LogitsOnly(subject.model).eval(),
                (),
                kwargs=inputs,
                dynamic_shapes={name: {0: "batch", 1: "tokens"} for name in names},
                input_names=names,
                output_names=["logits"],
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ModelError(
                f"{type(subject.model).__name__} cannot be written as ONNX ({str(error.__cause__ or error).splitlines()[0][:200]}); "
                "use --format hf"
            ) from error
        if program is None:
            raise ModelError(f"torch.onnx made nothing of {type(subject.model).__name__}; use --format hf")
        program.save(folder / MAIN)
    subject.model.config.save_pretrained(folder)
    if subject.causal:
        subject.model.generation_config.save_pretrained(folder)
    subject.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(subject.card, encoding="utf-8")


def commands(subject: Subject, folder: Path) -> list[str]:  # noqa: ARG001
    return []


def usage(name: str, causal: bool) -> tuple[str, str]:  # noqa: ARG001
    return (
        "python",
        "import onnxruntime\nfrom transformers import AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")\n'
        'session = onnxruntime.InferenceSession("path/to/this/folder/model.onnx")\n'
        'inputs = tokenizer(["a text", "another text"], padding=True, return_tensors="np")\n'
        '[logits] = session.run(["logits"], dict(inputs))',
    )


def opened(path: str, architecture: str) -> tuple[Callable[..., Any], tuple[bool, ...]]:
    import json

    if architecture != "causal":
        return _Session(path, []), ()
    ends = json.loads((Path(path).parent / "generation_config.json").read_text()).get("eos_token_id")
    return _Session(path, ends if isinstance(ends, list) else [ends] if ends is not None else []), (False,)


def opened_tokenizer(path: str) -> Any:
    import transformers

    return transformers.AutoTokenizer.from_pretrained(Path(path).parent)


class _Session:
    """A graph that is called as a model of transformers is."""

    def __init__(self, path: str, ends: list[int]) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._ends = ends

    def __call__(self, **inputs: Any) -> Any:
        import torch

        wanted = [each.name for each in self._session.get_inputs()]
        [logits] = self._session.run(["logits"], {name: inputs[name].numpy() for name in wanted})
        return SimpleNamespace(logits=torch.from_numpy(logits))

    def generate(self, *, max_new_tokens: int, **inputs: Any) -> Any:
        """Greedy text, each token from the whole text before it; the end of the text is never chosen."""
        import torch

        ids = inputs["input_ids"]
        for _ in range(max_new_tokens):
            logits = self(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, -1]
            logits[:, self._ends] = float("-inf")
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
        return ids


def _LogitsOnly(model: Any) -> Any:  # noqa: N802 - a class, made where torch is known
    import torch

    class LogitsOnly(torch.nn.Module):
        """Without cache and loss: tensors in, one tensor out."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.options = {"use_cache": False} if hasattr(model.config, "use_cache") else {}

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
            types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
            return self.model(input_ids=input_ids, attention_mask=attention_mask, **types, **self.options).logits

    return LogitsOnly()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch.onnx tells its own developers: deprecated parts of torch, and that torchvision is absent."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
