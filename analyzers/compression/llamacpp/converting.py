"""A model of transformers as a GGUF file, in full precision or in one that is computed here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, LlamaFileType
from torch import Tensor

from analyzers.compression.llamacpp.cutting import tokenizer_fields
from analyzers.compression.llamacpp.vocabulary import vocabulary_fields
from analyzers.errors import UnknownFormat

# model_type of transformers -> architecture of llama.cpp
_QWEN3_HEAD = 128
_PROOF = 40  # positions: of a prompt and what is written after it in `verify.py`
FAMILIES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
# what matrices are written in -> its type in the file, and that of the file; what is finer, llama.cpp alone can compute
PRECISIONS = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}


def check(model: Any, tokenizer: Any, origin: Path | None) -> None:
    """Refuse what llama.cpp would read as another model.

    Args:
        model: of transformers.
        tokenizer: of the model.
        origin: as in `write`.

    Raises:
        UnknownFormat: the model is none of FAMILIES, no language model, or computes positions in a way of its own; or the
            tokenizer is of a kind that llama.cpp does not have.
    """
    kind = model.config.model_type
    if kind not in FAMILIES or not type(model).__name__.endswith("ForCausalLM"):
        raise UnknownFormat(
            f"{type(model).__name__} ({kind}) cannot be written as GGUF; allowed are language models of the families "
            f"{', '.join(FAMILIES)}: use --format hf or onnx"
        )
    if FAMILIES[kind] == "llama" and any(name.endswith(".bias") for name in model.state_dict()):
        raise UnknownFormat(
            "this model adds biases, which the GGUF loader of transformers leaves out for llama, so nothing could be verified; "
            "allowed is one without: use --format hf or onnx"
        )
    rope = model.config.rope_parameters.get("rope_type", "default")
    if rope != "default":
        # llama.cpp wants the scaled frequencies as a tensor that transformers does not read: nothing could be proved.
        raise UnknownFormat(
            f"this model scales its positions ({rope}), which cannot be verified when written as GGUF; allowed is the default: "
            "give the dense model as gguf:PATH with --remove, or use --format hf"
        )
    width = getattr(model.config, "head_dim", None)
    if kind == "qwen3" and width != _QWEN3_HEAD:
        raise UnknownFormat(
            f"this model has heads of {width} numbers, and the GGUF loader of transformers takes {_QWEN3_HEAD} for qwen3, so nothing "
            "could be verified: use --format hf or onnx"
        )
    if (window := _window(model.config)) is not None and window < _PROOF:
        raise UnknownFormat(
            f"this model sees a window of {window} positions, and llama.cpp all of them: what is verified takes {_PROOF}: use "
            "--format hf or onnx"
        )
    if origin is None:
        for _ in vocabulary_fields(tokenizer, model.get_input_embeddings().weight.shape[0]):
            pass


def lower(model: Any, precision: str) -> None:
    """Change each matrix to what is read back when `write` has written it, one after the other.

    Args:
        model: of transformers, in float32.
        precision: one of PRECISIONS.
    """
    with torch.no_grad():
        for weight in model.parameters():  # tied ones once
            kind = _kind(weight, precision)
            if kind is not GGMLQuantizationType.F32:
                written = gguf.quants.quantize(_array(weight), kind)
                weight.copy_(torch.from_numpy(gguf.quants.dequantize(written, kind)))


def bytes_of(model: Any, precision: str) -> int:
    """What the tensors take in the file."""
    total = 0
    for weight in model.parameters():
        numbers, size = gguf.GGML_QUANT_SIZES[_kind(weight, precision)]
        total += weight.numel() // numbers * size
    return total


def write(model: Any, tokenizer: Any, name: str, origin: Path | None, target: Path, precision: str = "f32") -> None:
    """Write all tensors with what llama.cpp has to know of the configuration and the tokenizer.

    Args:
        model: one that `check` lets pass.
        tokenizer: of the model.
        name: for people.
        origin: a GGUF file whose entries about the tokenizer are taken over as they are.
        target: the file.
        precision: of the matrices, one of PRECISIONS; what has one dimension stays in float32.

    Raises:
        UnknownFormat: the tokenizer is of a kind that llama.cpp does not have.
    """
    writer = gguf.GGUFWriter(target, FAMILIES[model.config.model_type])
    try:
        _configure(writer, model.config, name)
        writer.add_file_type(PRECISIONS[precision][1])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        vocabulary = model.get_input_embeddings().weight.shape[0]
        for field in tokenizer_fields(origin) if origin else vocabulary_fields(tokenizer, vocabulary):
            writer.add_key_value(*field)
        for tensor_name, tensor in _tensors(model):
            kind = _kind(tensor, precision)
            writer.add_tensor(tensor_name, gguf.quants.quantize(_array(tensor), kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _configure(writer: Any, config: Any, name: str) -> None:
    heads = config.num_attention_heads
    head_width = getattr(config, "head_dim", None) or config.hidden_size // heads
    window = _window(config)
    writer.add_type("model")
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    # These architectures of llama.cpp have no window: within it, all positions are seen and the model is the same.
    writer.add_context_length(min(config.max_position_embeddings, window or config.max_position_embeddings))
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_rope_dimension_count(head_width)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _kind(weight: Tensor, precision: str) -> GGMLQuantizationType:
    """What a tensor is written in: rows that are no whole blocks of 32 in float16, as llama.cpp does."""
    wanted = PRECISIONS[precision][0] if weight.dim() > 1 else GGMLQuantizationType.F32
    return GGMLQuantizationType.F16 if weight.shape[-1] % gguf.GGML_QUANT_SIZES[wanted][0] else wanted


def _array(weight: Tensor) -> np.ndarray:
    return weight.detach().cpu().float().contiguous().numpy()


def _window(config: Any) -> int | None:
    return getattr(config, "sliding_window", None) if getattr(config, "use_sliding_window", True) else None


def _tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    config = model.config
    arch = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == FAMILIES[config.model_type])
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    for name, tensor in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        written = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if written is None:
            raise UnknownFormat(
                f"llama.cpp's {FAMILIES[config.model_type]} has no tensor for {name}; allowed are models as transformers defines "
                "them: use --format hf"
            )
        if FAMILIES[config.model_type] == "llama" and ".self_attn.q_proj." in name:
            tensor = interleaved(tensor, config.num_attention_heads)
        elif FAMILIES[config.model_type] == "llama" and ".self_attn.k_proj." in name:
            tensor = interleaved(tensor, config.num_key_value_heads)
        yield written, tensor


def interleaved(weight: Tensor, heads: int) -> Tensor:
    """Rows in the order of llama.cpp's rotary embedding, which turns neighbours where transformers turns halves.

    Args:
        weight: (heads · width, …) of a projection to queries or keys: rows i and i + width/2 of a head turn together.
        heads: of the projection.

    Returns:
        the same rows; those that turn together stand side by side.
    """
    halves = weight.unflatten(0, (heads, 2, -1))  # (heads, half, width / 2, …)
    return halves.transpose(1, 2).flatten(0, 2)
