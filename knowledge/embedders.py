"""Texts to vectors without a network: the demo encoder where it is installed, hashed n-grams where it is not.

Both are Chroma embedding functions registered under a name: without one, Chroma downloads a model of its own.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from chromadb import Documents, EmbeddingFunction, Embeddings
from chromadb.utils.embedding_functions import register_embedding_function

WORD = r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]{2,}"  # one Chinese character, or a word of another script
WIDTH = 384  # of the hashed n-grams; that of MiniLM is the same
MEANING = 0.7  # share of the meaning in a similarity; the rest is shared words


@register_embedding_function
class HashedNgrams(EmbeddingFunction[Documents]):
    """Words, pairs of words and runs of two to four characters, hashed into 384 numbers. Works for Chinese too."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        self._words = HashingVectorizer(
            n_features=WIDTH, analyzer="word", token_pattern=WORD, ngram_range=(1, 2), stop_words="english"
        )
        self._characters = HashingVectorizer(n_features=WIDTH, analyzer="char_wb", ngram_range=(2, 4))

    def __call__(self, input: Documents) -> Embeddings:
        vectors = (self._words.transform(input) + self._characters.transform(input)).toarray()
        vectors[~vectors.any(axis=1), 0] = 1.0  # a text of nothing but spaces still needs a direction
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return list(vectors.astype(np.float32))

    @staticmethod
    def name() -> str:
        return "layerwise-hashed"

    def get_config(self) -> dict[str, Any]:
        return {}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "HashedNgrams":  # noqa: ARG004 (Chroma's signature)
        return HashedNgrams()


@register_embedding_function
class MeaningAndWords(EmbeddingFunction[Documents]):
    """Sentence embeddings of a local MiniLM folder, joined with hashed n-grams.

    MiniLM reads English only; the n-grams know ids and Chinese too. The cosine of two English texts is 0.7 times that
    of their meanings and 0.3 times that of their words; Chinese characters lower the part of the meaning.

    Raises:
        OSError: the folder lacks a file that the model needs.
        ValueError: the files are not those of an encoder.
    """

    def __init__(self, folder: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.folder = folder
        self._words = HashedNgrams()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()

    def __call__(self, input: Documents) -> Embeddings:
        share = MEANING * np.array([[_readable(text)] for text in input])  # (texts, 1)
        parts = [np.sqrt(share) * self.meaning(input), np.sqrt(1 - share) * np.array(self._words(input))]
        return list(np.concatenate(parts, axis=1).astype(np.float32))

    def meaning(self, texts: list[str]) -> "np.ndarray[Any, Any]":
        """The mean of the last hidden states over the tokens, length one: (texts, width)."""
        import torch

        vectors = []
        with torch.inference_mode():
            for start in range(0, len(texts), 32):
                batch = self._tokenizer(
                    texts[start : start + 32], padding=True, truncation=True, max_length=256, return_tensors="pt"
                )
                hidden = self._model(**batch).last_hidden_state  # (batch, tokens, width)
                mask = batch["attention_mask"].unsqueeze(-1)
                mean = (hidden * mask).sum(1) / mask.sum(1)
                vectors.append(torch.nn.functional.normalize(mean).numpy())
        return np.concatenate(vectors)

    @staticmethod
    def name() -> str:
        return "layerwise-minilm-and-words"

    def get_config(self) -> dict[str, Any]:
        return {"folder": self.folder}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "MeaningAndWords":
        return MeaningAndWords(config["folder"])


def _readable(text: str) -> float:
    """The share of a text that MiniLM's vocabulary covers: what is not Chinese."""
    return 1 - len(re.findall(r"[\u4e00-\u9fff]", text)) / max(len(text), 1)


def choose(folder: Path | None) -> tuple[EmbeddingFunction[Documents], str | None]:
    """The best embedder there is, and a line for the user when the folder is there but cannot be used."""
    from safetensors import SafetensorError

    if folder is None or not all((folder / name).is_file() for name in ("config.json", "model.safetensors")):
        return HashedNgrams(), None
    try:
        return MeaningAndWords(str(folder)), None
    except (OSError, ValueError, RuntimeError, SafetensorError) as problem:
        first = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        return HashedNgrams(), f"the embedder in {folder} cannot be used ({first}); searching by words instead"
