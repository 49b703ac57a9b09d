"""Tokenizers in the words of llama.cpp: read again by transformers, they give the same tokens."""

from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import TokenType
from tokenizers import Regex, pre_tokenizers

from analyzers.compression import verify
from analyzers.compression.formats import gguf as form
from analyzers.compression.llamacpp import vocabulary
from analyzers.compression.llamacpp.converting import write
from analyzers.compression.llamacpp.vocabulary import vocabulary_fields
from analyzers.errors import UnknownFormat
from tests.gguf_files import SIZE, byte_level_tokenizer, sentencepiece_tokenizer, small_llama


def way(pattern: str) -> Any:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def digits() -> Any:
    return pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(add_prefix_space=False)])


TOKENIZERS = {
    "gpt-2": byte_level_tokenizer,
    "smollm": lambda: byte_level_tokenizer(digits()),
    "llama-bpe": lambda: byte_level_tokenizer(way(vocabulary._LLAMA3)),
    "qwen2": lambda: byte_level_tokenizer(way(vocabulary._QWEN2)),
    "default": sentencepiece_tokenizer,
}


def fields(tokenizer: Any) -> dict[str, Any]:
    return {name.removeprefix("tokenizer.ggml."): value for name, value, *_ in vocabulary_fields(tokenizer, SIZE)}


@pytest.mark.parametrize("pre", TOKENIZERS)
def test_read_again_it_gives_the_same_tokens(pre: str, tmp_path: Path):
    tokenizer = TOKENIZERS[pre]()
    assert fields(tokenizer)["pre"] == pre
    write(small_llama(1), tokenizer, "Tiny", None, tmp_path / "model.gguf")
    again = form.opened_tokenizer(str(tmp_path / "model.gguf"))
    expected = verify.token_ids(tokenizer)
    assert len(expected) > 40
    assert torch.equal(verify.token_ids(again), expected)


def test_kinds_of_tokens():
    found = fields(byte_level_tokenizer())
    assert found["tokens"][:3] == ["<pad>", "<s>", "</s>"]
    assert found["token_type"][:4] == [TokenType.CONTROL] * 3 + [TokenType.NORMAL]
    assert found["tokens"][-1] == f"[PAD{SIZE - 1}]"
    assert found["token_type"][-1] == TokenType.UNUSED
    assert (found["bos_token_id"], found["eos_token_id"], found["padding_token_id"]) == (1, 2, 0)
    assert "unknown_token_id" not in found
    assert found["add_bos_token"] is False


def test_an_earlier_merge_has_the_higher_score():
    found = fields(sentencepiece_tokenizer())
    scores = dict(zip(found["tokens"], found["scores"], strict=True))
    assert scores["▁w"] > scores["or"] > scores["▁wor"] > scores["hell"] > scores["a"]
    assert found["token_type"][found["tokens"].index("<0x41>")] == TokenType.BYTE
    assert found["add_space_prefix"] is True


@pytest.mark.parametrize(
    ("way_of", "named"),
    [
        (pre_tokenizers.Whitespace(), "Whitespace"),
        (way(r"\d+"), r"\\d\+ and Bytes"),
        (pre_tokenizers.Digits(False), "Digits"),
    ],
)
def test_an_unknown_way_is_refused_and_not_guessed(way_of: Any, named: str):
    with pytest.raises(UnknownFormat, match=rf"that cuts text by {named} cannot .* gpt-2, smollm, llama-bpe, qwen2"):
        fields(byte_level_tokenizer(way_of))


def test_another_kind_of_tokenizer(tmp_path: Path):
    from transformers import BertTokenizerFast

    with pytest.raises(UnknownFormat, match=r"of the kind WordPiece cannot be written as GGUF; .*: use --format hf"):
        fields(BertTokenizerFast(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}))


def test_more_tokens_than_rows():
    with pytest.raises(UnknownFormat, match=r"ids up to 289 and the model embeds 200; they do not belong together"):
        list(vocabulary_fields(byte_level_tokenizer(), 200))
