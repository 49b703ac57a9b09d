import numpy as np
import pytest
import torch

from analyzers.errors import DataError
from analyzers.importance import engine as engine_module
from analyzers.importance.cka import cka, hsic
from analyzers.importance.mutual_information import PooledStates, mutual_information
from tests import tiny

NOBODY = np.zeros((12, 1))


def wide(*blocks) -> tiny.Stack:
    """Random embeddings of two units."""
    embeddings = torch.randn(tiny.VOCABULARY, 2, generator=torch.Generator().manual_seed(0))
    return tiny.Stack(embeddings.tolist(), blocks, [[1.0, 0.0], [0.0, 1.0]])


def kernel(rows: int = 12, seed: int = 0) -> np.ndarray:
    features = np.random.default_rng(seed).normal(size=(rows, 3))
    found = features @ features.T
    np.fill_diagonal(found, 0)
    return found


def unit(features: np.ndarray) -> np.ndarray:
    features = features.astype(float)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def by_the_paper(first: np.ndarray, second: np.ndarray) -> float:
    """Song et al. 2012, equation 4, written out."""
    n, one = len(first), np.ones(len(first))
    terms = (
        np.trace(first @ second),
        (one @ first @ one) * (one @ second @ one) / ((n - 1) * (n - 2)),
        -2 / (n - 2) * (one @ first @ second @ one),
    )
    return sum(terms) / (n * (n - 3))


def by_covariances(before: np.ndarray, after: np.ndarray) -> float:
    """Kornblith et al. 2019, section 3: ‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖) of centred features."""
    x, y = before - before.mean(0), after - after.mean(0)
    return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def test_hsic_is_that_of_the_paper_whoever_is_left_out():
    first, second = kernel(seed=1), kernel(seed=2)
    assert hsic(first, second, NOBODY)[0] == pytest.approx(by_the_paper(first, second))
    groups = np.array([0, 0, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4])
    found = hsic(first, second, np.eye(5)[groups])
    for group in range(5):
        rest = np.ix_(groups != group, groups != group)
        assert found[group] == pytest.approx(by_the_paper(first[rest], second[rest]))


def test_hsic_of_independent_rows_is_zero_on_average():
    found = [hsic(kernel(seed=2 * draw), kernel(seed=2 * draw + 1), NOBODY)[0] for draw in range(2000)]
    assert np.mean(found) == pytest.approx(0, abs=4 * np.std(found) / np.sqrt(len(found)))
    assert hsic(kernel(), kernel(), NOBODY)[0] > 1


def test_identities_rotations_and_scales_change_nothing():
    rotation = [[-0.4, -0.8], [0.8, -0.4]]  # plus the input: cosine 0.6, sine 0.8
    blocks = [tiny.Residual([[0.0, 0.0], [0.0, 0.0]]), tiny.Residual(rotation), tiny.Residual([[2.0, 0.0], [0.0, 2.0]])]
    found = cka(tiny.engine(wide(*blocks), tiny.random_batches(20)))
    assert [score.value for score in found] == pytest.approx([0, 0, 0], abs=1e-5)


def test_massive_states_of_few_rows_do_not_decide():
    blocks = [tiny.Residual([[-0.8, 0.0], [0.0, 0.0]]), tiny.Residual([[0.0, 0.0], [5.0, -0.5]])]
    model, data = wide(*blocks), tiny.batches([[token] for token in range(1, 32)], [0, 1] * 15 + [0])
    plain = [score.value for score in cka(tiny.engine(model, data))]
    model.embeddings.weight.data[7] *= 1000
    assert [score.value for score in cka(tiny.engine(model, data))] == pytest.approx(plain, rel=1e-4)


def test_with_many_rows_it_is_the_plain_one():
    blocks = [tiny.Residual([[-0.8, 0.0], [0.0, 0.0]]), tiny.Residual([[0.0, 0.0], [5.0, -0.5]])]
    engine = tiny.engine(wide(*blocks), tiny.random_batches(1000, batch_size=64))
    found = cka(engine)
    features = engine.reduced(PooledStates)["features"]
    expected = [1 - by_covariances(unit(features[layer]), unit(features[layer + 1])) for layer in range(2)]
    assert [score.value for score in found] == pytest.approx(expected, abs=0.005)
    assert min(expected) > 0.03


@pytest.mark.parametrize(("build", "data"), [(tiny.bert, tiny.random_batches(12)), (tiny.llama, tiny.windows())])
def test_equals_the_formula_with_and_without_each_example(build, data):
    engine = tiny.engine(build(), data)
    found = cka(engine)
    seen = engine.reduced(PooledStates)
    examples = sorted(set(seen["examples"].tolist()))

    def change(layer: int, rows: np.ndarray) -> float:
        kernels = []
        for features in seen["features"][layer : layer + 2]:
            kernels.append(unit(features[rows]) @ unit(features[rows]).T)
            np.fill_diagonal(kernels[-1], 0)
        own = [by_the_paper(each, each) for each in kernels]
        return 1 - by_the_paper(*kernels) / np.sqrt(own[0] * own[1])

    for score in found:
        value = change(score.layer, seen["examples"] >= 0)
        without = np.array([change(score.layer, seen["examples"] != example) for example in examples])
        assert score.value == pytest.approx(value, rel=1e-4)
        expected = value + (len(examples) - 1) * (without.mean() - without)
        assert engine.values["cka"][:, score.layer] == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert score.low < score.value < score.high


def test_shares_its_sweep_with_mutual_information(monkeypatch: pytest.MonkeyPatch):
    sweeps = []
    measure = engine_module.sweep
    monkeypatch.setattr(engine_module, "sweep", lambda *args: sweeps.append(1) or measure(*args))
    engine = tiny.engine(tiny.bert(), tiny.random_batches(12))
    cka(engine), mutual_information(engine)
    assert len(sweeps) == 1


def test_needs_five_examples():
    with pytest.raises(DataError, match=r"4 calibration examples; cka needs 5: give more --samples"):
        cka(tiny.engine(tiny.bert(), tiny.random_batches(4)))
