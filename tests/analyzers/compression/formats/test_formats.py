"""What every format promises: verified by its own runtime under the final name, or nothing there."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from analyzers.compression import export, formats, verify
from analyzers.compression.formats import find, names
from analyzers.compression.formats import gguf as gguf_format
from analyzers.compression.formats import hf as hf_format
from analyzers.compression.llamacpp import cutting
from analyzers.compression.probes import probes
from analyzers.errors import StorageError, UnknownFormat, VerificationFailed
from analyzers.weights import weight_bytes
from tests.gguf_files import byte_level_tokenizer, small_llama, write_gguf


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_formats_there_are():
    assert names() == ["gguf", "hf", "onnx"]
    with pytest.raises(
        UnknownFormat, match=r"no export format 'exe'; there are: gguf, hf, onnx: choose one with --format"
    ):
        find("exe")


@pytest.mark.parametrize("name", names())
def test_a_format_has_the_names_of_the_contract(name: str):
    wanted = {*formats.Format.__annotations__, *(each for each in vars(formats.Format) if not each.startswith("_"))}
    assert {each for each in wanted if not hasattr(find(name), each)} == set()


@pytest.mark.parametrize("name", names())
def test_the_fresh_process_knows_nothing_of_the_project(name: str):
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('opener', {find(name).__file__!r})\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "sys.exit([name for name in sys.modules if name.partition('.')[0] in ('analyzers', 'torch')] or None)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_probes_of_a_configuration_that_names_no_end():
    model = small_llama(1)
    del model.config.eos_token_id
    del model.config.pad_token_id
    assert probes(model, byte_level_tokenizer(), 0)[1].inputs["attention_mask"].all()


def test_probes_differ_in_shape_and_hold_padding():
    found = probes(small_llama(1), byte_level_tokenizer(), 0)
    assert [tuple(each.inputs["input_ids"].shape) for each in found] == [(2, 24), (3, 7), (1, 33)]
    assert found[1].inputs["attention_mask"].tolist()[0] == [1, 1, 1, 1, 1, 0, 0]
    assert found[1].inputs["input_ids"][0, -2:].tolist() == [0, 0]
    assert not {0, 2} & set(found[0].inputs["input_ids"].flatten().tolist())  # padding and the end of a text
    assert torch.equal(
        found[0].inputs["input_ids"], probes(small_llama(1), byte_level_tokenizer(), 0)[0].inputs["input_ids"]
    )


@pytest.mark.parametrize("form", ["hf", "gguf"])
def test_a_model_of_transformers(form: str, exported, tmp_path: Path):
    found = exported(form, tmp_path / "out", small_llama(2), byte_level_tokenizer())
    assert found.reloaded_in_fresh_process
    assert found.same_text
    assert found.max_logit_difference < 1e-6
    assert left_in(tmp_path) == ["out"]
    assert (tmp_path / "out" / "README.md").read_text() == "# Tiny\n"
    assert {"hf": "config.json", "gguf": "Modelfile"}[form] in left_in(tmp_path / "out")


def opened_gguf(path: Path) -> Any:
    model, _ = gguf_format.opened(str(path), "causal")
    return model


@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_what_is_cut_out_of_a_file_is_the_dense_one_with_layers_skipped(kind: str, exported, tmp_path: Path):
    path = write_gguf(tmp_path / "whole.gguf", small_llama(4, kind))
    dense, tokenizer = opened_gguf(path), gguf_format.opened_tokenizer(str(path))
    dense.config.pad_token_id = 0
    found = exported("gguf", tmp_path / "out", dense, tokenizer, origin=path, cut=(1, 2))
    assert found.same_text
    assert found.max_logit_difference < 1e-6
    assert opened_gguf(tmp_path / "out" / "model.gguf").config.num_hidden_layers == 2


def damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are renumbered the wrong way round: the file opens, and is another model."""
    renamed = cutting.Cut._renamed

    def swapped(self: cutting.Cut, name: str) -> str | None:
        new = renamed(self, name)
        return new.replace("blk.0.", "blk.x.").replace("blk.1.", "blk.0.").replace("blk.x.", "blk.1.") if new else None

    monkeypatch.setattr(cutting.Cut, "_renamed", swapped)


def test_another_model_is_not_kept(exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_gguf(tmp_path / "whole.gguf")
    dense, tokenizer = opened_gguf(path), gguf_format.opened_tokenizer(str(path))
    damaged(monkeypatch)
    with pytest.raises(
        VerificationFailed, match=r"logits differ by .* \(allowed 0\.001\), and its greedy text is another"
    ):
        exported("gguf", tmp_path / "out", dense, tokenizer, origin=path, cut=(1, 2))
    assert left_in(tmp_path) == ["whole.gguf"]


def test_another_tokenizer_is_not_kept(exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hf_format, "opened_tokenizer", lambda path: lambda text: {"input_ids": [1]})
    monkeypatch.setattr("importlib.util.module_from_spec", lambda spec: hf_format)
    monkeypatch.setattr(type(hf_format.__spec__.loader), "exec_module", lambda self, module: None)
    with pytest.raises(VerificationFailed, match="it gives other tokens for the same text"):
        exported("hf", tmp_path / "out", small_llama(1), byte_level_tokenizer())
    assert left_in(tmp_path) == []


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize("form", names())
def test_too_little_disk_is_noticed_before_anything_is_written(
    form: str, exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**9, 10**9 - 3_000_000, 3_000_000))
    monkeypatch.setattr(find(form), "write", lambda subject, folder: pytest.fail("it wrote"))
    with pytest.raises(
        StorageError, match=r"out needs [45] MB and 3 MB are free there; .*--output; nothing was written"
    ):
        exported(form, tmp_path / "new" / "out", small_llama(1), byte_level_tokenizer())
    assert left_in(tmp_path) == []


def test_what_is_expected_is_what_is_written(tmp_path: Path, exported):
    model = small_llama(2, tie_word_embeddings=True)
    assert weight_bytes(model) == 4 * sum(parameter.numel() for parameter in model.parameters())
    exported("gguf", tmp_path / "out", model, byte_level_tokenizer())
    size = (tmp_path / "out" / "model.gguf").stat().st_size
    assert weight_bytes(model) <= size <= weight_bytes(model) + export.BESIDE_WEIGHTS


@pytest.mark.parametrize(
    ("problem", "shown"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "No space left on device"), StorageError)],
    ids=["Ctrl-C", "disk full"],
)
@pytest.mark.parametrize("form", ["hf", "gguf"])
def test_stopped_between_the_files(
    form: str, problem: BaseException, shown: type[BaseException], exported, tmp_path: Path, monkeypatch: Any
):
    write = Path.write_text

    def stop(self: Path, *words: Any, **options: Any) -> int:
        if self.name == "README.md":  # the weights are there already
            assert [path for path in self.parent.iterdir() if path.stat().st_size > 10_000]
            raise problem
        return write(self, *words, **options)

    monkeypatch.setattr(Path, "write_text", stop)
    with pytest.raises(shown):
        exported(form, tmp_path / "out", small_llama(1), byte_level_tokenizer())
    assert left_in(tmp_path) == []


def test_stopped_while_it_is_verified(exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*words: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "main", stop)
    with pytest.raises(KeyboardInterrupt):
        exported("gguf", tmp_path / "out", small_llama(1), byte_level_tokenizer())
    assert left_in(tmp_path) == []
