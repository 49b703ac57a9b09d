"""Models of transformers as GGUF: what transformers reads again is the model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader

from analyzers.compression.formats import gguf as form
from analyzers.compression.llamacpp.converting import bytes_of, check, interleaved, lower, write
from analyzers.errors import UnknownFormat
from tests.gguf_files import byte_level_tokenizer, small_llama, write_gguf

IDS = torch.randint(3, 280, (2, 12), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(input_ids=IDS).logits


@pytest.mark.parametrize("kind", ["Llama", "Mistral", "Qwen2", "Qwen3"])
@pytest.mark.parametrize("tied", [False, True])
def test_read_again_it_is_the_same_model(kind: str, tied: bool, tmp_path: Path):
    width = {"head_dim": 128} if kind == "Qwen3" else {}  # transformers takes no other from a file
    model = small_llama(2, kind, tie_word_embeddings=tied, **width)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    path = tmp_path / "model.gguf"
    check(model, byte_level_tokenizer(), None)
    write(model, byte_level_tokenizer(), "Tiny", None, path)
    again, _ = form.opened(str(path), "causal")
    assert torch.equal(logits(again), logits(model))
    assert ("output.weight" in {tensor.name for tensor in GGUFReader(path).tensors}) is not tied


@pytest.mark.parametrize(("precision", "kinds"), [("f16", {"F32", "F16"}), ("q8_0", {"F32", "F16", "Q8_0"})])
def test_in_fewer_bits_it_is_what_it_was_lowered_to(precision: str, kinds: set[str], tmp_path: Path):
    """Rows of 48 numbers are no whole blocks of 32."""
    model = small_llama(2, hidden_size=64, intermediate_size=48, tie_word_embeddings=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    before, path = logits(model), tmp_path / "model.gguf"
    names = {name: parameter.clone() for name, parameter in model.named_parameters()}
    lower(model, precision)
    assert 1e-5 < (logits(model) - before).abs().max() / before.abs().max() < 0.1
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, names[name]) is (parameter.dim() == 1), name
    write(model, byte_level_tokenizer(), "Tiny", None, path, precision)
    again, _ = form.opened(str(path), "causal")
    assert torch.allclose(logits(again), logits(model), atol=1e-6)
    tensors = GGUFReader(path).tensors
    assert {tensor.tensor_type.name for tensor in tensors} == kinds
    assert sum(int(tensor.n_bytes) for tensor in tensors) == bytes_of(model, precision)


def test_eight_bits_by_hand():
    """Blocks of 32 numbers with one scale, the largest by 127 as float16: https://github.com/ggml-org/ggml, ggml-quants.c."""
    model = torch.nn.Linear(32, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.linspace(-1, 1, 32)[None])
    scale = torch.tensor(1 / 127).half().float()
    expected = (torch.linspace(-1, 1, 32) * 127).round() * scale
    lower(model, "q8_0")
    assert torch.allclose(model.weight[0], expected, atol=1e-6)


def test_rows_that_turn_together_become_neighbours():
    rows = torch.tensor([[float(head), float(row)] for head in range(2) for row in range(6)])  # width 6: 0 and 3 turn
    found = interleaved(rows, 2)
    assert found[:6, 1].tolist() == [0, 3, 1, 4, 2, 5]
    assert found[:, 0].tolist() == [0] * 6 + [1] * 6


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [("Qwen3", {"head_dim": 16}, "heads of 16 numbers"), ("Mistral", {"sliding_window": 8}, "a window of 8 positions")],
)
def test_what_could_not_be_verified_is_refused(kind: str, changes: dict[str, int], words: str):
    with pytest.raises(UnknownFormat, match=f"{words}.*--format hf or onnx"):
        check(small_llama(2, kind, **changes), byte_level_tokenizer(), None)


def test_positions_beyond_the_window_are_not_promised(tmp_path: Path):
    model = small_llama(2, "Mistral", sliding_window=20)
    write(model, byte_level_tokenizer(), "Tiny", None, tmp_path / "a.gguf")
    assert GGUFReader(tmp_path / "a.gguf").fields["llama.context_length"].contents() == 20


def test_the_tokenizer_of_the_file_at_the_start_is_taken_over(tmp_path: Path):
    origin = write_gguf(tmp_path / "origin.gguf", tokenizer__chat_template="{{ messages }}", tokenizer__ggml__odd=[7])
    write(small_llama(2), None, "Tiny", origin, tmp_path / "a.gguf")
    fields = GGUFReader(tmp_path / "a.gguf").fields
    assert fields["tokenizer.chat_template"].contents() == "{{ messages }}"
    assert fields["tokenizer.ggml.odd"].contents() == [7]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: small_llama(2, "Gemma"),
            r"GemmaForCausalLM \(gemma\) .* llama, mistral, qwen2, qwen3: use --format hf",
        ),
        (lambda: small_llama(2, attention_bias=True), r"adds biases, .* allowed is one without"),
        (
            lambda: small_llama(2, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}),
            r"scales its positions \(linear\), .* give the dense model as gguf:PATH",
        ),
    ],
    ids=["family", "biases", "positions"],
)
def test_models_that_do_not_fit(model: Any, message: str):
    with pytest.raises(UnknownFormat, match=message):
        check(model(), byte_level_tokenizer(), None)
