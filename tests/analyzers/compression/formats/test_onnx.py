"""ONNX graphs in onnxruntime: any batch, any length, padding, and the same text."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from analyzers.compression.formats import Subject
from analyzers.compression.formats import onnx as form
from analyzers.errors import ModelError, UnknownFormat
from tests.gguf_files import byte_level_tokenizer, small_llama


def test_a_language_model(exported, tmp_path: Path):
    model = small_llama(1)  # each layer is a second of tracing
    found = exported("onnx", tmp_path / "out", model, byte_level_tokenizer())
    assert found.same_text
    assert found.max_logit_difference < 1e-4
    session, caches = form.opened(str(tmp_path / "out" / "model.onnx"), "causal")
    assert caches == (False,)
    for rows, tokens in ((1, 1), (1, 40), (7, 3)):  # none of the shapes that it was traced or verified with
        ids = torch.randint(3, 280, (rows, tokens), generator=torch.Generator().manual_seed(rows))
        with torch.no_grad():
            wanted = model(input_ids=ids).logits
        assert torch.allclose(session(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, wanted, atol=1e-4)
    assert json.loads((tmp_path / "out" / "config.json").read_text())["num_hidden_layers"] == 1
    assert {"tokenizer.json", "README.md"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_the_end_of_a_text_is_never_written():
    session = form._Session.__new__(form._Session)
    session._ends = [2]
    logits = torch.tensor([[[0.0, 1.0, 9.0]]])
    session._session = SimpleNamespace(get_inputs=list, run=lambda names, inputs: [logits.clone().numpy()])
    assert session.generate(input_ids=torch.tensor([[0]]), max_new_tokens=3).tolist() == [[0, 1, 1, 1]]


def test_what_onnx_does_not_have(tmp_path: Path):
    class Odd(torch.nn.Module):
        config = small_llama(1).config

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return SimpleNamespace(logits=input_ids.float() if input_ids.sum() > 0 else attention_mask.float())

    with pytest.raises(ModelError, match=r"Odd cannot be written as ONNX \(.*\); use --format hf"):
        form.write(Subject(Odd(), byte_level_tokenizer(), False, "Tiny", ""), tmp_path)


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(UnknownFormat, match=r"needs onnxscript, which this .* pip install onnxscript, or use"):
        form.check(Subject(None, None, True, "", ""))
