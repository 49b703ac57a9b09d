"""Blocks leave a GGUF file; every byte of what stays is the byte that was there."""

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader

from analyzers.compression.llamacpp.cutting import Cut, read, tokenizer_fields
from analyzers.errors import BadTarget, ModelError
from tests.gguf_files import small_llama, write_gguf


def raw(path: Path) -> dict[str, tuple[bytes, list[int], GGMLQuantizationType]]:
    return {t.name: (t.data.tobytes(), t.shape.tolist(), t.tensor_type) for t in GGUFReader(path).tensors}


def entries(path: Path) -> dict[str, object]:
    return {name: field.contents() for name, field in GGUFReader(path).fields.items() if not name.startswith("GGUF")}


def by_hand(path: Path, kind: GGMLQuantizationType = GGMLQuantizationType.Q4_K, family: str = "llama") -> Path:
    """Four blocks of random bytes, in a kind of quantization that only llama.cpp writes."""
    dice = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, family)
    writer.add_custom_alignment(64)
    writer.add_block_count(4)
    writer.add_head_count_kv([1, 2, 3, 4])
    writer.add_array("llama.some.flags", [True, False, False, True])
    writer.add_array("llama.rope.dimension_sections", [8, 8, 8, 8])
    writer.add_array("tokenizer.ggml.scores", [0.5, 0.25, 0.125, 0.0])  # four tokens, not four layers
    writer.add_string("general.name", "Ünnamed")
    _, size = gguf.GGML_QUANT_SIZES[kind]
    for name in ("token_embd.weight", *(f"blk.{n}.{part}.weight" for n in range(4) for part in ("attn_q", "ffn_up"))):
        writer.add_tensor(name, dice.integers(0, 256, (3, 2 * size), dtype=np.uint8), raw_dtype=kind)
    for n in range(4):
        writer.add_tensor(f"blk.{n}.attn_norm.weight", np.full(5, n, np.float32))  # 20 bytes: padding follows
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_stays_is_byte_for_byte_what_was_there(tmp_path: Path):
    whole, small = by_hand(tmp_path / "whole.gguf"), tmp_path / "small.gguf"
    cut = Cut(whole, [1, 2])
    cut.write(small)
    before, after = raw(whole), raw(small)
    moved = {"blk.0.": "blk.0.", "blk.3.": "blk.1."}
    kept = {name: name for name in before if not name.startswith("blk.")}
    kept |= {new + name[6:]: name for name in before for old, new in moved.items() if name.startswith(old)}
    assert set(after) == set(kept)
    assert all(after[name] == before[old] for name, old in kept.items())
    assert small.stat().st_size <= cut.bytes_needed() < whole.stat().st_size


def test_every_entry_of_one_value_a_layer_is_trimmed_and_no_other(tmp_path: Path):
    whole, small = by_hand(tmp_path / "whole.gguf"), tmp_path / "small.gguf"
    Cut(whole, [1, 2]).write(small)
    changed = {"llama.block_count": 2, "llama.attention.head_count_kv": [1, 4], "llama.some.flags": [True, True]}
    assert entries(small) == entries(whole) | changed
    types = {name: field.types for name, field in GGUFReader(small).fields.items()}
    assert types == {name: field.types for name, field in GGUFReader(whole).fields.items()}


def test_alignment_is_that_of_the_file(tmp_path: Path):
    whole, small = by_hand(tmp_path / "whole.gguf"), tmp_path / "small.gguf"
    Cut(whole, [0]).write(small)
    assert GGUFReader(small).alignment == 64
    assert all(tensor.data_offset % 64 == 0 for tensor in GGUFReader(small).tensors)


def test_two_cuts_are_one(tmp_path: Path):
    whole = write_gguf(tmp_path / "whole.gguf", small_llama(5))
    Cut(whole, [1]).write(tmp_path / "four.gguf")
    Cut(tmp_path / "four.gguf", [2]).write(tmp_path / "three.gguf")  # 3 in the whole one
    Cut(whole, [1, 3]).write(tmp_path / "at_once.gguf")
    assert (tmp_path / "three.gguf").read_bytes() == (tmp_path / "at_once.gguf").read_bytes()


def test_what_a_file_says_of_its_tokenizer(tmp_path: Path):
    found = {name: value for name, value, *_ in tokenizer_fields(write_gguf(tmp_path / "a.gguf"))}
    assert found["tokenizer.ggml.pre"] == "gpt-2"
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert len(found["tokenizer.ggml.tokens"]) == 300


@pytest.mark.parametrize("remove", [[], [4], [-1], [0, 1, 2, 3]])
def test_layers_that_cannot_go(remove: list[int], tmp_path: Path):
    with pytest.raises(
        BadTarget, match=r"cannot remove layers .* of 4; allowed are some of 0 to 3, not all: .* --remove"
    ):
        Cut(by_hand(tmp_path / "a.gguf"), remove)


def test_a_family_whose_blocks_are_not_alike(tmp_path: Path):
    path = by_hand(tmp_path / "a.gguf", family="gemma3")
    with pytest.raises(
        ModelError, match=r"a\.gguf is a GGUF file of the family 'gemma3'; .* llama, qwen2, qwen3: .* --format hf"
    ):
        Cut(path, [1])


def test_one_part_of_several(tmp_path: Path):
    path = by_hand(tmp_path / "a.gguf")
    content = path.read_bytes()
    entry = struct.pack("<Q", 11) + b"split.count" + struct.pack("<IH", int(gguf.GGUFValueType.UINT16), 3)
    count = struct.unpack_from("<Q", content, 16)[0] + 1
    path.write_bytes(content[:16] + struct.pack("<Q", count) + entry + content[24:])
    with pytest.raises(ModelError, match=r"one of 3 parts; join them first with: llama-gguf-split --merge"):
        read(path)


@pytest.mark.parametrize("size", [0, 3, 30, 2000])
def test_a_file_that_is_cut_off(size: int, tmp_path: Path):
    path = by_hand(tmp_path / "a.gguf")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelError, match=r"a\.gguf is no GGUF file or is damaged \(.*\); fetch or make it again"):
        read(path)
