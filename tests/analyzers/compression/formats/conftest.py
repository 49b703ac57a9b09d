"""What is written by a format, and opened by it again in this process: a new interpreter costs seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analyzers.compression import verify
from analyzers.compression.export import expected_of_all, export_verified
from analyzers.compression.formats import Subject, find
from analyzers.compression.probes import probes
from analyzers.layers import LayeredModel
from analyzers.records import Verification
from tests.tools.conftest import opened_here


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Verification]:
    """Export a model (or, of one with layers to remove, what is left of it) to a folder."""

    def do(form: str, folder: Path, model: Any, tokenizer: Any, **more: Any) -> Verification:
        monkeypatch.setattr(verify, "in_fresh_process", opened_here)
        inputs, remove = probes(model, tokenizer, 0), set(more.get("cut", ()))
        with LayeredModel(model, least=1).skipping(remove):
            reference = expected_of_all(model, tokenizer, inputs, cached=not remove)
        causal = type(model).__name__.endswith("ForCausalLM")
        subject = Subject(None if remove else model, tokenizer, causal, "Tiny", "# Tiny\n", **more)
        find(form).check(subject)
        return export_verified(find(form), subject, folder, inputs, reference)

    return do
