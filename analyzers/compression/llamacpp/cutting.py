"""Blocks taken out of a GGUF file, and everything else copied byte for byte: nothing is dequantized or rounded again."""

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGUFReader, GGUFValueType

from analyzers.errors import BadTarget, ModelError

# Families whose blocks do not care for their position: no windows, experts or recurrences that alternate by the layer.
FAMILIES = ("llama", "qwen2", "qwen3")
BLOCK = re.compile(r"blk\.(\d+)\.")
NOT_BY_LAYER = ("rope.dimension_sections",)  # arrays that a short model may have as many entries in as layers
ARRAY_HEAD = 4  # parts of a field before the length of its array: length and text of the key, type, type of an entry


class Cut:
    """A GGUF file without some of its blocks, the rest renumbered."""

    def __init__(self, path: Path, remove: Sequence[int]) -> None:
        """Read the file and check that it can be done.

        Args:
            path: of the file.
            remove: blocks, 0-based.

        Raises:
            ModelError: the file is damaged, in parts, or of a family whose blocks cannot be taken out one by one.
            BadTarget: a block that is not there, or none would be left.
        """
        self.path, self._reader = path, read(path)
        self.family = family(self._reader, path)
        depth = int(self._reader.fields[f"{self.family}.block_count"].contents())
        if not remove or set(remove) - set(range(depth)) or len(set(remove)) == depth:
            raise BadTarget(
                f"cannot remove layers {sorted(remove)} of {depth}; allowed are some of 0 to {depth - 1}, not all: name them "
                "with --remove 3,4"
            )
        self._depth, self._alignment = depth, int(self._reader.alignment)  # a file's own one is read as unsigned
        self._kept = [block for block in range(depth) if block not in set(remove)]
        self._tensors = [(name, tensor) for tensor in self._reader.tensors if (name := self._renamed(tensor.name))]

    def bytes_needed(self) -> int:
        """At least the size of the file that `write` writes: the head is counted as it is in the complete one."""
        return int(self._reader.data_offset) + sum(self._padded(tensor.n_bytes) for _, tensor in self._tensors)

    def write(self, target: Path) -> None:
        """Write the smaller file, with the version and the alignment of the complete one."""
        reader = self._reader
        fields = [field for name, field in reader.fields.items() if not name.startswith("GGUF.")]
        with target.open("wb") as file:
            file.write(bytes(reader.data[:8]))  # magic and version
            file.write(struct.pack("<QQ", len(self._tensors), len(fields)))
            for field in fields:
                file.write(self._field(field))
            offset = 0
            for name, tensor in self._tensors:
                file.write(_described(name, tensor, offset))
                offset += self._padded(tensor.n_bytes)
            for _, tensor in self._tensors:
                file.write(bytes(-file.tell() % self._alignment))
                file.write(memoryview(reader.data[tensor.data_offset : tensor.data_offset + tensor.n_bytes]))
            file.write(bytes(-file.tell() % self._alignment))

    def _renamed(self, name: str) -> str | None:
        """The name in the smaller file; None for a tensor of a removed block."""
        found = BLOCK.match(name)
        if not found:
            return name
        block = int(found[1])
        return f"blk.{self._kept.index(block)}.{name[found.end() :]}" if block in self._kept else None

    def _field(self, field: Any) -> bytes:
        """The bytes of one entry of the metadata, those that count layers made to fit."""
        size = sum(int(part.nbytes) for part in field.parts)
        raw = self._reader.data[field.offset : field.offset + size].tobytes()
        own = field.name.removeprefix(f"{self.family}.")
        if own == "block_count":
            return raw[: -field.parts[-1].nbytes] + np.array(len(self._kept), field.parts[-1].dtype).tobytes()
        by_layer = (
            own != field.name
            and own not in NOT_BY_LAYER
            and field.types[0] == GGUFValueType.ARRAY
            and field.types[-1] != GGUFValueType.STRING
            and len(field.data) == self._depth
        )
        if not by_layer:
            return raw
        head = b"".join(part.tobytes() for part in field.parts[:ARRAY_HEAD])
        entries = b"".join(field.parts[field.data[block]].tobytes() for block in self._kept)
        return head + struct.pack("<Q", len(self._kept)) + entries

    def _padded(self, size: int) -> int:
        return size + -size % self._alignment


def read(path: Path) -> Any:
    """The reader of a whole GGUF file.

    Raises:
        ModelError: it is damaged, not complete, in several parts, or of the other byte order.
    """
    try:
        reader = GGUFReader(path)
    except (ValueError, KeyError, IndexError, OverflowError, struct.error) as error:
        raise ModelError(f"{path} is no GGUF file or is damaged ({error}); fetch or make it again") from error
    if reader.byte_order != "I":
        raise ModelError(f"{path} is a big-endian GGUF file; only little-endian ones are read: fetch that one")
    parts = reader.fields.get("split.count")
    if parts is not None and int(parts.contents()) > 1:
        raise ModelError(
            f"{path} is one of {int(parts.contents())} parts; join them first with: llama-gguf-split --merge {path} whole.gguf"
        )
    return reader


def family(reader: Any, path: Path) -> str:
    """The architecture that the file names.

    Raises:
        ModelError: it is none of FAMILIES, or has no number of blocks.
    """
    named = reader.fields.get("general.architecture")
    found = str(named.contents()) if named is not None else "none"
    if found not in FAMILIES:
        raise ModelError(
            f"{path} is a GGUF file of the family {found!r}; layers can be taken out of: {', '.join(FAMILIES)}: name such a file, "
            "or the model as a Hugging Face folder with --format hf"
        )
    if f"{found}.block_count" not in reader.fields:
        raise ModelError(f"{path} does not say how many blocks it has ({found}.block_count); fetch or make it again")
    return found


def tokenizer_fields(path: Path) -> Iterator[tuple[str, Any, Any, Any]]:
    """Key, value, type and type of the entries of all that a file says about its tokenizer."""
    for name, field in read(path).fields.items():
        if name.startswith("tokenizer."):
            entries = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            yield name, field.contents(), field.types[0], entries


def _described(name: str, tensor: Any, offset: int) -> bytes:
    """The entry of a tensor in the list of tensors."""
    text = name.encode()
    sizes = [int(size) for size in tensor.shape]
    return (
        struct.pack("<Q", len(text))
        + text
        + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, int(tensor.tensor_type), offset)
    )
