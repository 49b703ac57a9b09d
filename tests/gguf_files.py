"""Tiny GGUF files, and tokenizers that can stand in one."""

from pathlib import Path
from typing import Any

SIZE = 300  # rows of the embedding


def byte_level_tokenizer(way: Any = None) -> Any:
    """Byte-level BPE with a few merges; `way` is how a text is cut into words, as GPT-2 does it by default."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = way or pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - 10,  # some rows of the embedding belong to no token
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(["hello world, it's 2026 and the world's layers", "def f(x): return x"] * 3, trainer)
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special)


def sentencepiece_tokenizer() -> Any:
    """BPE over ▁ and letters, with a token for each byte that no letter stands for."""
    from transformers import LlamaTokenizerFast

    merges = [("▁", "w"), ("o", "r"), ("▁w", "or"), ("l", "d"), ("▁wor", "ld"), ("h", "e"), ("l", "l"), ("he", "ll")]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁acdefhlorstuwx"]
    tokens += [left + right for left, right in merges]
    return LlamaTokenizerFast(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)


def small_llama(layers: int = 4, kind: str = "Llama", **changes: Any) -> Any:
    """Wide enough for blocks of 32 quantized weights; heads and key-value heads differ."""
    from tests.analyzers.compression.conftest import decoder

    sizes = {"vocab_size": SIZE, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    return decoder(layers, kind=kind, **(sizes | {"intermediate_size": 96} | changes))


def write_gguf(path: Path, model: Any = None, **fields: Any) -> Path:
    """A file as a user brings it: matrices quantized to Q8_0, vectors in float32, and entries of one value a layer.

    Args:
        path: of the file.
        model: of the llama family; `small_llama()` by default.
        fields: further entries, each a list of integers or a text, with `__` for a dot in the key.
    """
    import gguf

    from analyzers.compression.llamacpp import converting
    from analyzers.compression.llamacpp.vocabulary import vocabulary_fields

    model = model or small_llama()
    writer = gguf.GGUFWriter(path, converting.FAMILIES[model.config.model_type])
    converting._configure(writer, model.config, "Tiny")
    for field in vocabulary_fields(byte_level_tokenizer(), SIZE):
        writer.add_key_value(*field)
    for key, value in fields.items():
        (writer.add_string if isinstance(value, str) else writer.add_array)(key.replace("__", "."), value)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    kind = gguf.GGMLQuantizationType.Q8_0
    for name, tensor in converting._tensors(model):
        numbers = tensor.detach().numpy()
        if tensor.ndim == 1:
            writer.add_tensor(name, numbers)
        else:
            writer.add_tensor(name, gguf.quants.quantize(numbers, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
