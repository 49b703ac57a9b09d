"""A quantized model holds rounded weights and says so; what cannot be quantized is refused before anything is written."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from analyzers.compression import formats, quantization, verify
from analyzers.compression.export import export_verified, save_verified
from analyzers.compression.formats import Subject
from analyzers.compression.probes import probes
from analyzers.compression.quantization import (
    check_available,
    check_plain,
    describe,
    find,
    names,
    precision_of,
    quantized,
    share,
)
from analyzers.errors import ModelError, StorageError, UnknownPrecision
from analyzers.evaluation import parameters
from analyzers.layers import LayeredModel
from analyzers.weights import parameter_count, weight_bytes
from tests import tiny
from tests.gguf_files import byte_level_tokenizer
from tests.tools.conftest import opened_here

CPU = torch.device("cpu")
Usage = namedtuple("Usage", "total used free")
STEP = {"int8": 1 / 127.5, "nf4": 0.31}  # the widest gap between two values, as a part of the largest of a group


@pytest.fixture(params=names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def encoder() -> Any:
    """An encoder whose layers nf4 holds on every processor: it leaves out those that do not fill what is packed together."""
    return tiny.bert(width=64, inner=64)


def wide(tied: bool = False) -> Any:
    """A decoder whose layers are large enough for the scales not to weigh."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        intermediate_size=128,
        max_position_embeddings=64,
        initializer_range=0.2,
        tie_word_embeddings=tied,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=None,
    )
    return transformers.LlamaForCausalLM(config).eval()


def test_it_is_exported_after_it_was_computed_with(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """nf4 packs its weights anew when they are first computed with, where the processor multiplies bfloat16, and loses some when it
    unpacks them to write."""
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    small, tokenizer = quantized(encoder(), name, tmp_path / "model"), byte_level_tokenizer()
    inputs = probes(small, tokenizer, 0)
    subject = Subject(small, tokenizer, False, "Tiny", "# Tiny\n")
    proof = export_verified(formats.find("hf"), subject, tmp_path / "out", inputs)
    assert proof.max_logit_difference < 1e-3


def dequantized(module: nn.Module) -> torch.Tensor:
    """The weight as it is computed with: the image of the identity."""
    with torch.no_grad():
        bias = 0 if module.bias is None else module.bias
        return (module(torch.eye(module.in_features)) - bias).T


@pytest.mark.parametrize("make", [wide, encoder])
def test_every_weight_is_rounded_to_the_nearest_value(name: str, make: Any, tmp_path: Path):
    model = make()
    small = quantized(model, name, tmp_path / "model")
    held = [path for path, module in small.named_modules() if find(name).holds(module)]
    assert {path.rpartition(".")[2] for path in held} >= (
        {"q_proj", "down_proj"} if make is wide else {"query", "dense"}
    )
    for path in held:
        before, after = model.get_submodule(path).weight.data, dequantized(small.get_submodule(path))
        largest = before.abs().amax(dim=1, keepdim=True) if name == "int8" else before.abs().max()
        assert torch.all((after - before).abs() <= largest * STEP[name] / 2 * 1.02 + 1e-6), path
        assert not torch.equal(after, before)


def test_int8_by_hand(tmp_path: Path):
    model = tiny.bert()
    weight = model.bert.encoder.layer[0].attention.self.query.weight
    with torch.no_grad():
        weight[0] = torch.tensor([-127.5, -64.4, 3.6, 0.4, -0.6, 126.4, 50.0, 127.5]) / 100
    small = quantized(model, "int8", tmp_path / "model")
    found = dequantized(small.bert.encoder.layer[0].attention.self.query)[0] * 100
    torch.testing.assert_close(
        found, torch.tensor([-128.0, -64.0, 4.0, 0.0, -1.0, 126.0, 50.0, 127.0]), atol=1e-3, rtol=0
    )


def test_what_a_record_says(name: str, tmp_path: Path):
    model = wide()
    small = quantized(model, name, tmp_path / "model")
    linear = sum(m.weight.numel() for p, m in model.named_modules() if isinstance(m, nn.Linear) and p != "lm_head")
    assert share(small, name) == pytest.approx(linear / parameter_count(model))
    assert parameter_count(small) == parameter_count(model) == parameters(small, "x").value
    assert len(LayeredModel(small)) == len(LayeredModel(model))
    described = describe(small, name)
    assert (described.precision, described.library.split()[0]) == (name, find(name).LIBRARY)
    assert precision_of(small) == name
    assert precision_of(model) is None
    assert weight_bytes(small) < weight_bytes(model) * (0.5 if name == "int8" else 0.45)


def test_the_bytes_of_int8_by_hand(tmp_path: Path):
    model = wide()
    linear = [m for p, m in model.named_modules() if isinstance(m, nn.Linear) and p != "lm_head"]
    # A byte for each weight; for each output a scale of four bytes and a zero point of one.
    saved = sum(3 * m.weight.numel() - 5 * m.out_features for m in linear)
    assert weight_bytes(quantized(model, "int8", tmp_path / "model")) == weight_bytes(model) - saved


@pytest.mark.parametrize("tied", [False, True])
def test_saved_and_opened_again(name: str, tied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    [probe] = tiny.windows(2, 20, 2)
    small = quantized(wide(tied), name, tmp_path / "model")
    assert (small.lm_head.weight is small.model.embed_tokens.weight) is tied
    assert type(small.lm_head) is nn.Linear
    assert not find(name).holds(small.lm_head)

    class Tokens:
        def save_pretrained(self, folder: Path) -> None: ...

    proof = save_verified(small, Tokens(), tmp_path / "model", probe)
    assert proof.same_text
    assert proof.max_logit_difference < 1e-3
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "nothing else is left"
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert precision_of(again) == name


def test_quantized_twice(name: str, tmp_path: Path):
    small = quantized(encoder(), name, tmp_path / "model")
    with pytest.raises(ModelError, match=rf"is quantized to {name} already, .* to quantize it, name the model that"):
        quantized(small, "int8", tmp_path / "model")
    check_plain(tiny.bert(), "x", "train")
    with pytest.raises(ModelError, match=rf"run-1 is quantized to {name} already"):
        check_plain(small, "run-1", "train")


def test_a_model_without_linear_layers(tmp_path: Path):
    config = transformers.GPT2Config(vocab_size=32, n_embd=8, n_layer=2, n_head=2, n_positions=16)
    with pytest.raises(ModelError, match=r"GPT2LMHeadModel has no weights that torchao stores as int8: .*: none, nf4"):
        quantized(transformers.GPT2LMHeadModel(config), "int8", tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_an_unknown_precision():
    with pytest.raises(UnknownPrecision, match=r"no precision 'int3'; there are: none, int8, nf4"):
        find("int3")


def test_a_library_that_is_missing(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(quantization, "find_spec", lambda library: None)
    library = find(name).LIBRARY
    with pytest.raises(
        UnknownPrecision, match=rf"{name} needs {library}, .* pip install {library}, or choose one of: none"
    ):
        check_available(name, CPU)


def test_a_machine_that_cannot(name: str, monkeypatch: pytest.MonkeyPatch):
    def fails(layer: nn.Module) -> nn.Module:
        raise NotImplementedError("no kernel for this processor\nand a trace")

    monkeypatch.setattr(find(name), "tried", fails)
    with pytest.raises(
        UnknownPrecision, match=rf"{name} cannot be computed by .* on this machine \(cpu\): no kernel for"
    ) as e:
        check_available(name, CPU)
    assert "\n" not in str(e.value)
    monkeypatch.setattr(find(name), "tried", lambda layer: lambda given: given * float("nan"))
    with pytest.raises(UnknownPrecision, match="gives wrong numbers"):
        check_available(name, CPU)


def test_too_little_disk(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(StorageError, match="1 MB are free there; make room"):
        quantized(encoder(), name, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_nf4_leaves_out_what_a_processor_could_not_pack(tmp_path: Path):
    small = quantized(tiny.bert(width=64, inner=48), "nf4", tmp_path / "model")
    layer = small.bert.encoder.layer[0]
    assert find("nf4").holds(layer.attention.self.query)
    assert type(layer.intermediate.dense) is type(layer.output.dense) is nn.Linear
