"""A tokenizer of transformers in the words of llama.cpp: byte-level BPE as "gpt2", sentencepiece BPE as "llama"."""

import json
from collections.abc import Iterator
from typing import Any

from gguf import GGUFValueType as Kind
from gguf import TokenType

from analyzers.errors import UnknownFormat

Field = tuple[str, Any, Kind, Kind | None]  # key, value, type, type of the entries

# How a text is cut before the merges, in llama.cpp's names. A wrong name gives other tokens without an error, so a way
# that is not known here is refused.
_WORDS = "ByteLevel"
_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WAYS = {
    (_WORDS,): "gpt-2",
    ("Digits", _WORDS): "smollm",
    (_LLAMA3, "Bytes"): "llama-bpe",
    (_QWEN2, "Bytes"): "qwen2",
}


def vocabulary_fields(tokenizer: Any, size: int) -> Iterator[Field]:
    """The entries of a GGUF file that describe a tokenizer.

    Args:
        tokenizer: a fast one.
        size: rows of the embedding; ids that the tokenizer does not use are filled up.

    Raises:
        UnknownFormat: llama.cpp has no such tokenizer.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    described = json.loads(backend.to_str()) if backend is not None else {"model": {"type": type(tokenizer).__name__}}
    model = described["model"]
    if model["type"] != "BPE":
        raise _refused(f"of the kind {model['type']}")
    sentencepiece = bool(model.get("byte_fallback"))
    tokens, kinds = _tokens(tokenizer, described, size)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    yield "tokenizer.ggml.model", "llama" if sentencepiece else "gpt2", Kind.STRING, None
    if sentencepiece:
        yield "tokenizer.ggml.pre", "default", Kind.STRING, None
        yield "tokenizer.ggml.scores", _scores(tokens, merges), Kind.ARRAY, Kind.FLOAT32
        yield "tokenizer.ggml.add_space_prefix", _space_first(described), Kind.BOOL, None
    else:
        yield "tokenizer.ggml.pre", _way(described), Kind.STRING, None
        yield "tokenizer.ggml.merges", merges, Kind.ARRAY, Kind.STRING
    yield "tokenizer.ggml.tokens", tokens, Kind.ARRAY, Kind.STRING
    yield "tokenizer.ggml.token_type", [int(kind) for kind in kinds], Kind.ARRAY, Kind.INT32
    for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        number = getattr(tokenizer, f"{name}_token_id")
        if number is not None:
            yield f"tokenizer.ggml.{key}_token_id", number, Kind.UINT32, None
    ids = tokenizer("a")["input_ids"]
    yield "tokenizer.ggml.add_bos_token", bool(ids) and ids[0] == tokenizer.bos_token_id, Kind.BOOL, None
    yield "tokenizer.ggml.add_eos_token", bool(ids) and ids[-1] == tokenizer.eos_token_id, Kind.BOOL, None
    if isinstance(tokenizer.chat_template, str):
        yield "tokenizer.chat_template", tokenizer.chat_template, Kind.STRING, None


def _tokens(tokenizer: Any, described: dict[str, Any], size: int) -> tuple[list[str], list[TokenType]]:
    """Text and kind of every id."""
    known = {number: token for token, number in tokenizer.get_vocab().items()}
    if known and max(known) >= size:
        raise UnknownFormat(
            f"the tokenizer has ids up to {max(known)} and the model embeds {size}; they do not belong together: save the model "
            "with its own tokenizer"
        )
    added = {each["id"]: each for each in described["added_tokens"]}
    tokens = [known.get(number, f"[PAD{number}]") for number in range(size)]

    def kind(number: int) -> TokenType:
        if number not in known:
            return TokenType.UNUSED
        if number in added:
            return TokenType.CONTROL if added[number]["special"] else TokenType.USER_DEFINED
        one_byte = tokens[number].startswith("<0x") and described["model"].get("byte_fallback")
        return TokenType.BYTE if one_byte else TokenType.NORMAL

    return tokens, [kind(number) for number in range(size)]


def _scores(tokens: list[str], merges: list[str]) -> list[float]:
    """llama.cpp joins the pair whose token has the highest score: so an earlier merge gives a higher one."""
    rank: dict[str, int] = {}
    for position, merge in enumerate(merges):
        rank.setdefault(merge.replace(" ", "", 1), position)
    return [-float(rank[token]) if token in rank else -1e6 for token in tokens]


def _space_first(described: dict[str, Any]) -> bool:
    """Whether a space is put before a text."""
    for step in [*_steps(described["normalizer"]), *_steps(described["pre_tokenizer"])]:
        if step["type"] == "Prepend" or (step["type"] == "Metaspace" and step.get("prepend_scheme") != "never"):
            return True
    return False


def _way(described: dict[str, Any]) -> str:
    """llama.cpp's name for how a text is cut into words."""
    found = []
    for step in _steps(described["pre_tokenizer"]):
        if step["type"] == "ByteLevel":
            found.append(_WORDS if step["use_regex"] else "Bytes")
        elif step["type"] == "Digits" and step["individual_digits"]:
            found.append("Digits")
        elif step["type"] == "Split" and step["behavior"] == "Isolated":
            found.append(step["pattern"].get("Regex", ""))
        else:
            found.append(step["type"])
    if tuple(found) not in WAYS or any(step["type"] != "NFC" for step in _steps(described["normalizer"])):
        raise _refused(f"that cuts text by {' and '.join(found) or 'nothing'}")
    return WAYS[tuple(found)]


def _steps(described: dict[str, Any] | None) -> list[dict[str, Any]]:
    if described is None:
        return []
    return described.get("pretokenizers") or described.get("normalizers") or [described]


def _refused(what: str) -> UnknownFormat:
    return UnknownFormat(
        f"a tokenizer {what} cannot be written as GGUF; allowed are byte-level BPE cut as by {', '.join(WAYS.values())}, and "
        "sentencepiece BPE: use --format hf or onnx"
    )
