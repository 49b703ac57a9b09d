import numpy as np
import pytest

from analyzers.stability import stability


def test_an_order_without_noise_is_sure_from_the_first_examples() -> None:
    found = stability(np.tile([3.0, 1.0, 2.0, 0.0], (64, 1)), seed=0)
    assert found.tau == 1.0
    assert found.examples == 4


def test_pure_noise_never_settles() -> None:
    found = stability(np.random.default_rng(0).normal(size=(64, 6)), seed=0)
    assert found.tau < 0.8
    assert found.examples is None


def test_more_noise_takes_more_examples() -> None:
    noise = np.random.default_rng(0).normal(size=(512, 5))
    needed = [stability(np.arange(5) + size * noise, seed=0).examples for size in (0.5, 2.0)]
    assert needed[0] is not None
    assert needed[1] is not None
    assert needed[0] < needed[1] < 512


def test_two_layers_by_hand() -> None:
    # Three of four examples prefer layer 1. A bootstrap sample of 4 has a mean above 0 with 3 or 4 of these, is tied with 2
    # (tau 0) and reversed with fewer: with p = 3/4 the mean tau is P(3) + P(4) - P(0) - P(1) = 189/256 - 13/256.
    found = stability(np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, -1.0]]), seed=0)
    assert found.tau == pytest.approx(176 / 256, abs=0.1)


@pytest.mark.parametrize("examples", [1, 2, 3])
def test_few_examples(examples: int) -> None:
    found = stability(np.arange(4.0)[None].repeat(examples, 0), seed=0)
    assert found.examples == examples


def test_the_same_seed_gives_the_same() -> None:
    values = np.random.default_rng(0).normal(size=(40, 6)) + np.arange(6)
    assert stability(values, 1) == stability(values, 1)
