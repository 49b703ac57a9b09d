"""Small things in the places of the demo model and the demo texts, for tests of commands that name them."""

import random
from pathlib import Path

GOOD = ["great", "good", "love", "fine", "happy", "best", "nice", "perfect"]
BAD = ["awful", "bad", "hate", "poor", "sad", "worst", "broken", "useless"]
PLAIN = [
    "the",
    "battery",
    "of",
    "this",
    "phone",
    "and",
    "its",
    "screen",
    "is",
    "really",
    "quite",
    "a",
    "thing",
    "to",
    "hold",
]


def fill_cache(cache: Path) -> None:
    """Put a six-layer encoder of width 16 where `demo:minilm` would lie, and invented reviews where the texts would."""
    _encoder(cache / "minilm")
    texts = cache / "vader"
    texts.mkdir(parents=True)
    for name in ("amazonReviewSnippets", "movieReviewSnippets", "nytEditorialSnippets", "tweets"):
        (texts / f"{name}_GroundTruth.txt").write_text("\n".join(_reviews()), encoding="utf-8")


def _encoder(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *PLAIN, *"abcdefghijklmnopqrstuvwxyz"]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(dict.fromkeys(words)),
        hidden_size=16,
        num_hidden_layers=6,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=512,
    )
    BertModel(config).save_pretrained(folder)
    # A member of the real asset that newer tokenizers no longer write.
    (folder / "special_tokens_map.json").write_text("{}")


def _reviews() -> list[str]:
    """Lines as in the demo sets: id of review and sentence, mean valence, text."""
    choose = random.Random(0)
    lines = []
    for review in range(1, 91):
        for sentence in range(1, 4):
            good = choose.random() < 0.5
            words = choose.sample(PLAIN, 4) + choose.sample(GOOD if good else BAD, 2)
            choose.shuffle(words)
            lines.append(f"{review}_{sentence}\t{2.0 if good else -2.0}\t{' '.join(words)}")
    return lines
