"""Both embedders give unit vectors that do not depend on the company a text is in."""

from pathlib import Path

import numpy as np
import pytest

from knowledge.embedders import HashedNgrams, MeaningAndWords, choose


def test_hashed_vectors_have_length_one_and_put_like_with_like() -> None:
    embed = HashedNgrams()
    vectors = np.array(
        embed(["accuracy of the pruned model", "the pruned model's accuracy", "weather", " ", "剪枝模型"])
    )
    assert vectors.shape == (5, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert vectors[0] @ vectors[1] > 0.8 > 0.3 > vectors[0] @ vectors[2]
    chinese = np.array(embed(["模型剪枝", "剪枝模型", "天气很好"]))
    assert chinese[0] @ chinese[1] > 0.3 > chinese[0] @ chinese[2]


def test_mean_pooling_ignores_padding(tiny_encoder: Path) -> None:
    embed = MeaningAndWords(str(tiny_encoder))
    alone = embed.meaning(["abc"])
    padded = embed.meaning(["abc", "a b c d e f g h i j"])
    np.testing.assert_allclose(alone[0], padded[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(padded, axis=1), 1, rtol=1e-5)


def test_mean_pooling_is_the_mean_of_the_tokens(tiny_encoder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(tiny_encoder)("abc", return_tensors="pt")
    with torch.no_grad():
        mean = AutoModel.from_pretrained(tiny_encoder).eval()(**tokens).last_hidden_state[0].mean(0)
    expected = (mean / mean.norm()).numpy()
    np.testing.assert_allclose(MeaningAndWords(str(tiny_encoder)).meaning(["abc"])[0], expected, atol=1e-5)


def test_a_similarity_is_a_mean_of_meaning_and_words(tiny_encoder: Path) -> None:
    embed = MeaningAndWords(str(tiny_encoder))
    texts = ["abc plan-4c4c4c", "plan-4c4c4c"]
    (one, two), (meaning_1, meaning_2), (words_1, words_2) = embed(texts), embed.meaning(texts), HashedNgrams()(texts)
    assert one @ two == pytest.approx(0.7 * (meaning_1 @ meaning_2) + 0.3 * (words_1 @ words_2), abs=1e-5)


@pytest.mark.parametrize("folder", [None, Path("nowhere")])
def test_without_a_folder_words_are_hashed(folder: Path | None) -> None:
    embedder, problem = choose(folder)
    assert (embedder.name(), problem) == ("layerwise-hashed", None)


def test_the_encoder_is_chosen_where_it_is(tiny_encoder: Path) -> None:
    embedder, problem = choose(tiny_encoder)
    assert (embedder.name(), problem) == ("layerwise-minilm-and-words", None)
