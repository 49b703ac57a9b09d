import math
import warnings

import numpy as np
import pytest

from analyzers.importance import shapley as module
from analyzers.importance.shapley import shapley
from tests import tiny
from tests.analyzers.test_coalitions import subsets

MODELS = [(tiny.bert, tiny.random_batches()), (tiny.llama, tiny.windows())]


def by_definition(engine) -> np.ndarray:
    """Shapley values by their definition, (layers,)."""
    layers = len(engine.layered)
    worth = {kept: -engine.game.mean_loss(kept) for kept in subsets(layers)}
    values = np.zeros(layers)
    for kept, value in worth.items():
        for layer in set(range(layers)) - kept:
            weight = 1 / (layers * math.comb(layers - 1, len(kept)))
            values[layer] += weight * (worth[kept | {layer}] - value)
    return values


def values(engine) -> list[float]:
    return [score.value for score in shapley(engine)]


def test_by_hand():
    # v(kept) = −log(1 + exp(−h)) with h = 1, 2 with block 0, 3 with block 1, 6 with both.
    nothing, zero, one, both = (-np.log1p(np.exp(-h)) for h in (1.0, 2.0, 3.0, 6.0))
    expected = [((zero - nothing) + (both - one)) / 2, ((one - nothing) + (both - zero)) / 2]
    assert values(tiny.engine(tiny.scalar_stack(1.0, 2.0), tiny.batches([[1]], [0]))) == pytest.approx(
        expected, abs=1e-6
    )


def shap_exact(engine) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap

        def worth(masks):
            return np.array([-engine.game.mean_loss(frozenset(np.flatnonzero(mask).tolist())) for mask in masks])

        layers = len(engine.layered)
        explainer = shap.explainers.Exact(worth, shap.maskers.Independent(np.zeros((1, layers))))
        return explainer(np.ones((1, layers))).values[0]


@pytest.mark.parametrize(("build", "data"), MODELS)
@pytest.mark.parametrize("layers", [3, 6])
def test_equals_the_exact_values(build, data, layers: int):
    engine = tiny.engine(build(layers=layers), data)
    expected = by_definition(engine)
    assert values(engine) == pytest.approx(expected.tolist(), abs=1e-6)
    assert shap_exact(engine) == pytest.approx(expected, abs=1e-6)
    assert engine.game.evaluations == 2**layers


def test_sampled_orders_come_near_the_exact_values(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVALUATIONS", 31)
    engine = tiny.engine(tiny.bert(layers=5), tiny.random_batches())
    found = []
    for engine.seed in range(40):
        found.append(values(engine))
        assert engine.diagnostics["shap_permutations"] == 2
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - by_definition(engine)) < 4 * error).all()
    assert (error > 0).all()


@pytest.mark.parametrize(("build", "data"), MODELS)
@pytest.mark.parametrize("evaluations", [256, 15])  # exact; two random orders
def test_efficiency(build, data, evaluations: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVALUATIONS", evaluations)
    engine = tiny.engine(build(layers=4), data)
    gap = engine.game.mean_loss(frozenset()) - engine.game.mean_loss(engine.game.everything)
    assert sum(values(engine)) == pytest.approx(gap, abs=1e-9)
    assert engine.diagnostics["shap_efficiency_error"] < 1e-9


def test_a_block_that_does_nothing_is_worth_nothing():
    engine = tiny.engine(tiny.scalar_stack(1.0, 0.0, 2.0), tiny.batches([[1], [3]], [0, 1]))
    assert values(engine)[1] == pytest.approx(0, abs=1e-12)


def test_more_layers_than_evaluations(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EVALUATIONS", 3)
    engine = tiny.engine(tiny.scalar_stack(1.0, 0.5, 2.0), tiny.batches([[1]], [0]))
    assert len(values(engine)) == 3
    assert engine.diagnostics["shap_permutations"] == 1


def test_the_generator_of_others_goes_on_undisturbed(monkeypatch: pytest.MonkeyPatch):
    np.random.seed(7)
    expected = np.random.rand()
    np.random.seed(7)
    monkeypatch.setattr(module, "EVALUATIONS", 3)  # sampled, which shap seeds the generator for
    shapley(tiny.engine(tiny.scalar_stack(1.0, 2.0), tiny.batches([[1]], [0])))
    assert np.random.rand() == expected
