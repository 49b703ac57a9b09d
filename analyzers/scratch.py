"""A new transformer encoder from a small configuration, with a vocabulary built from the training texts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analyzers.errors import DataError, UsageError

SPECIAL_TOKENS = ("[PAD]", "[CLS]", "[SEP]", "[MASK]")

_EXAMPLE = "layers: 4, width: 128, heads: 4, vocabulary: 4000"


class ScratchConfig(BaseModel):
    """What `--from-scratch` reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    layers: int = Field(ge=2, le=200)  # one layer is no stack that could lose one
    width: int = Field(ge=8, le=16_384)
    heads: int = Field(ge=1)
    vocabulary: int = Field(ge=300, le=1_000_000)  # at most; 256 are single bytes, small data give few more
    max_tokens: int = Field(default=128, ge=8, le=100_000)
    feed_forward: int | None = Field(default=None, ge=1)  # four times the width
    dropout: float = Field(default=0.1, ge=0, lt=1, strict=False)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "ScratchConfig":
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by heads {self.heads}")
        return self


def read_config(path: Path) -> ScratchConfig:
    """Read a configuration of a new encoder.

    Raises:
        UsageError: no such file, no YAML, or keys or values that are not allowed.
    """
    try:
        content = yaml.safe_load(path.expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise UsageError(
            f"cannot read {path}: {reason}; --from-scratch needs a YAML file, such as: {_EXAMPLE}"
        ) from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise UsageError(f"{path} is not YAML{line}; write one KEY: VALUE a line, such as: {_EXAMPLE}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path} has no keys; write one KEY: VALUE a line, such as: {_EXAMPLE}")
    try:
        return ScratchConfig.model_validate({str(key): value for key, value in content.items()})
    except ValidationError as error:
        problems = "; ".join(_problem(problem) for problem in error.errors())
        allowed = ", ".join(ScratchConfig.model_fields)
        raise UsageError(f"{path}: {problems}. Allowed keys: {allowed}; for example {_EXAMPLE}") from None


def build(config_path: Path, texts: Sequence[str], labels: Sequence[str], seed: int) -> tuple[Any, Any]:
    """A fresh encoder with a classification head, and its tokenizer.

    Args:
        config_path: YAML with layers, width, heads, vocabulary and perhaps max_tokens, feed_forward, dropout.
        texts: of the train split; the vocabulary of byte pairs is built from them.
        labels: names of the classes.
        seed: of the weights.

    Returns:
        A `BertForSequenceClassification` in evaluation mode, and a fast tokenizer.

    Raises:
        UsageError: see `read_config`.
        DataError: there are no words to build a vocabulary from.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    wanted = read_config(config_path)
    if not any(text.strip() for text in texts):
        raise DataError(f"{len(texts)} texts hold no words to build a vocabulary from; give more data")
    tokenizer = _tokenizer(texts, wanted)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=wanted.width,
        num_hidden_layers=wanted.layers,
        num_attention_heads=wanted.heads,
        intermediate_size=wanted.feed_forward or 4 * wanted.width,
        hidden_dropout_prob=wanted.dropout,
        attention_probs_dropout_prob=wanted.dropout,
        max_position_embeddings=wanted.max_tokens,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    torch.manual_seed(seed)
    return BertForSequenceClassification(config).eval(), tokenizer


def _tokenizer(texts: Sequence[str], wanted: ScratchConfig) -> Any:
    """Byte pairs: no text of any language has unknown tokens.

    Not WordPiece: its trainer numbers word pieces in the order of a hash map, another one in every process.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=wanted.vocabulary,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL_TOKENS.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=wanted.max_tokens,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _problem(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}"
    if problem["type"] == "missing":
        return f"{key!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{key} is {problem['input']!r}: {message}" if key else message
