"""Texts to vectors without a network: the demo encoder where it is installed, hashed n-grams where it is not.

Both are Chroma embedding functions registered under a name: without one, Chroma downloads a model of its own.
"""

from pathlib import Path
from typing import Any

import numpy as np
from chromadb import Documents, EmbeddingFunction, Embeddings
from chromadb.utils.embedding_functions import register_embedding_function

WORD = r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]{2,}"  # one Chinese character, or a word of another script
WIDTH = 384  # both embedders; that of MiniLM


@register_embedding_function
class MiniLM(EmbeddingFunction[Documents]):
    """Sentence embeddings of a local MiniLM folder: mean over tokens, length one.

    Raises:
        OSError: the folder lacks a file that the model needs.
        ValueError: the files are not those of an encoder.
    """

    def __init__(self, folder: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.folder = folder
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()

    def __call__(self, input: Documents) -> Embeddings:
        import torch

        vectors: list[Any] = []
        with torch.inference_mode():
            for start in range(0, len(input), 32):
                batch = self._tokenizer(
                    input[start : start + 32], padding=True, truncation=True, max_length=256, return_tensors="pt"
                )
                hidden = self._model(**batch).last_hidden_state  # (batch, tokens, width)
                mask = batch["attention_mask"].unsqueeze(-1)
                mean = (hidden * mask).sum(1) / mask.sum(1)
                vectors += list(torch.nn.functional.normalize(mean).numpy().astype(np.float32))
        return vectors

    @staticmethod
    def name() -> str:
        return "layerwise-minilm"

    def get_config(self) -> dict[str, Any]:
        return {"folder": self.folder}

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "MiniLM":
        return MiniLM(config["folder"])


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


def choose(folder: Path | None) -> tuple[EmbeddingFunction[Documents], str | None]:
    """The best embedder there is, and a line for the user when the folder is there but cannot be used."""
    from safetensors import SafetensorError

    if folder is None or not all((folder / name).is_file() for name in ("config.json", "model.safetensors")):
        return HashedNgrams(), None
    try:
        return MiniLM(str(folder)), None
    except (OSError, ValueError, RuntimeError, SafetensorError) as problem:
        first = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        return HashedNgrams(), f"the embedder in {folder} cannot be used ({first}); searching by words instead"
