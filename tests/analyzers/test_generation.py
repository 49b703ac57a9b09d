"""Numbers about texts that were counted by hand, and texts of models that stop."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from analyzers.datasets import Example
from analyzers.generation import (
    PROMPT_TOKENS,
    WRITTEN,
    Written,
    beginnings,
    compared,
    edit_distance,
    repeated_share,
    same_beginning,
    write,
)
from tests import tiny


class Letters(SimpleNamespace):
    """Each letter is a token."""

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) - 96 for letter in text]}

    def decode(self, ids, skip_special_tokens: bool = False) -> str:
        return "".join(chr(int(token) + 96) for token in ids)


@pytest.mark.parametrize(
    ("text", "share"),
    [([], 0), ([1, 2, 3], 0), ([1, 2, 3, 4, 5], 0), ([7] * 8, 0.8), ([1, 2, 1, 2, 1, 2, 1, 2], 0.6)],
)
def test_repeated_4_grams(text: list[int], share: float):
    assert repeated_share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("first", "second", "same", "distance"),
    [
        ("kitten", "sitting", 0, 3 / 7),
        ("abc", "abc", 3, 0),
        ("abc", "", 0, 1),
        ("", "", 0, 0),
        ("abcd", "abxd", 2, 1 / 4),
        ("ab", "abcd", 2, 1 / 2),
    ],
)
def test_differences_of_texts(first: str, second: str, same: int, distance: float):
    one, other = (list(text.encode()) for text in (first, second))
    assert same_beginning(one, other) == same == same_beginning(other, one)
    assert edit_distance(one, other) == pytest.approx(distance) == edit_distance(other, one)


def test_beginnings_are_drawn_from_long_texts():
    examples = [Example(chr(97 + n) * (PROMPT_TOKENS + n), None, str(n)) for n in range(12)]
    examples += [Example("z" * 5, None, "short")]
    found = beginnings(examples, Letters(), seed=0, count=4)
    assert found.shape == (4, PROMPT_TOKENS)
    assert len({int(row[0]) for row in found}) == 4
    assert torch.equal(found, beginnings(examples, Letters(), seed=0, count=4))
    assert not torch.equal(found, beginnings(examples, Letters(), seed=1, count=4))


def test_beginnings_of_short_texts():
    examples = [Example(text, None, text) for text in ("abc", "defgh", "ijkl")]
    assert beginnings(examples, Letters(), seed=0, count=2).tolist() == [[4, 5, 6, 7], [9, 10, 11, 12]]


def test_texts_are_greedy_and_end_where_the_model_ends_them():
    model, prompts = tiny.llama(), torch.tensor([[1, 2, 3], [4, 5, 6]])
    model.generation_config.update(do_sample=True, temperature=5.0, repetition_penalty=3.0)
    whole = write(model, prompts)
    ids = prompts
    for _ in range(WRITTEN):  # without a cache and without generate
        ids = torch.cat([ids, model(input_ids=ids).logits[:, -1:].argmax(-1)], 1)
    assert whole.texts == ids[:, 3:].tolist()
    model.generation_config.eos_token_id = whole.texts[0][4]
    assert write(model, prompts).texts[0] == whole.texts[0][: whole.texts[0].index(whole.texts[0][4])]


def test_two_models_compared():
    prompts = torch.tensor([[1, 2], [3, 4]])
    dense, small = Written([[1, 2, 3, 4], [5, 6, 7, 8, 9]]), Written([[1, 2, 9, 4], [7] * 8])
    found, measured = compared(dense, small, prompts, Letters(), "healed", seed=0)
    values = {(m.name, m.subject): m.value for m in measured}
    assert values == {
        ("repetition", "dense"): 0,
        ("repetition", "healed"): pytest.approx(0.4),
        ("written_tokens", "dense"): 4.5,
        ("written_tokens", "healed"): 6,
        ("same_beginning", "healed/dense"): 1,
        ("text_distance", "healed/dense"): pytest.approx((1 / 4 + 7 / 8) / 2),
    }
    assert all((m.n, m.split) == (2, "test") for m in measured)
    distance = measured[-1]
    assert distance.low == pytest.approx(1 / 4)
    assert distance.high == pytest.approx(7 / 8)
    assert np.isfinite([m.low for m in measured]).all()
    assert [(text.prompt, text.dense, text.compressed) for text in found.texts] == [
        ("ab", "abcd", "abid"),
        ("cd", "efghi", "ggggggg" + "g"),
    ]
