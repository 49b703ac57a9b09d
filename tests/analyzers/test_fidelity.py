import itertools

import numpy as np
import pytest

from analyzers import fidelity as module
from analyzers.coalitions import Coalitions
from analyzers.consensus import order_of
from analyzers.fidelity import RANDOM_ORDERS, greedy_order, measure_fidelity
from analyzers.importance.ablation import ablation
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.tasks.classification import Classification
from tests import tiny
from tests.analyzers.test_coalitions import coalitions


def stack(*weights: float) -> Coalitions:
    """Every example has the value 1 and label 0: the loss is log(1 + exp(−Π kept (1 + w)))."""
    return coalitions(tiny.scalar_stack(*weights), tiny.batches([[1]] * 4, [0] * 4))


def loss(*factors: float) -> float:
    return float(np.log1p(np.exp(-np.prod(factors))))


def measure(found: Coalitions, **orders):
    return measure_fidelity(found, orders, 0, Progress())


def test_by_hand(monkeypatch: pytest.MonkeyPatch):
    # Factors 2, 1.5, 1.25. The area of an order is the mean rise of the loss after one and after two removals.
    factors = {0: 2.0, 1: 1.5, 2: 1.25}

    def area(order) -> float:
        rest = [[factors[layer] for layer in order[k:]] for k in (1, 2)]
        return float(np.mean([loss(*kept) - loss(*factors.values()) for kept in rest]))

    found = measure(stack(1.0, 0.5, 0.25), best=[2, 1, 0], worst=[0, 1, 2], middle=[1, 2, 0])
    generator = np.random.default_rng(0)
    random = np.mean([area(generator.permutation(3).tolist()) for _ in range(RANDOM_ORDERS)])
    best = area([2, 1, 0])  # greedy takes the smallest factor first
    for name, order in {"best": [2, 1, 0], "worst": [0, 1, 2], "middle": [1, 2, 0]}.items():
        assert found.values[name].value == pytest.approx((random - area(order)) / (random - best), rel=1e-4)
    assert found.values["best"].value == pytest.approx(1.0)
    assert found.values["worst"].value < 0 < found.values["middle"].value < 1


def test_curves_by_hand():
    found = measure(stack(1.0, 0.5, 0.25), one=[1, 0, 2])
    first, second = found.curves["one"]
    assert (first.removed, second.removed) == ([1], [0, 1])
    assert first.loss == pytest.approx(loss(2.0, 1.25), rel=1e-5)
    assert second.loss == pytest.approx(loss(1.25), rel=1e-5)
    assert first.metric == second.metric == 1.0
    assert [point.removed for point in found.curves["greedy"]] == [[2], [1, 2]]
    singles = [loss(1.5, 1.25), loss(2, 1.25), loss(2, 1.5)]
    assert min(singles) < found.curves["random"][0].loss < max(singles)
    assert sorted(found.curves) == ["greedy", "one", "random"]


def test_the_interval_contains_the_value_and_is_seeded():
    found = coalitions(tiny.bert(layers=4), tiny.random_batches(40))
    one = measure_fidelity(found, {"reverse": [3, 2, 1, 0]}, 0, Progress()).values["reverse"]
    assert one.low <= one.value <= one.high
    assert measure_fidelity(found, {"reverse": [3, 2, 1, 0]}, 0, Progress()).values["reverse"] == one


def test_greedy_removes_what_costs_least_now():
    found = coalitions(tiny.bert(layers=4), tiny.random_batches())
    removed: list[int] = []
    for _ in range(3):
        costs = {
            layer: found.mean_loss(found.everything - {*removed, layer}) for layer in found.everything - set(removed)
        }
        removed.append(min(costs, key=costs.get))
    assert greedy_order(found, 3, Progress()) == removed


def test_where_no_order_can_be_told_from_another():
    found = measure(stack(0.0, 0.0, 0.0), any=[0, 1, 2])  # identities: nothing rises
    assert (found.values["any"].value, found.values["any"].low, found.values["any"].high) == (0, 0, 0)


def test_a_greedy_order_worse_than_chance_does_not_turn_the_sign():
    assert module._fidelity(np.array([0.1]), np.array([0.5]), np.array([0.1])) == pytest.approx(1.0)
    assert module._fidelity(np.array([0.9]), np.array([0.5]), np.array([0.1])) == pytest.approx(-1.0)
    # Random orders cost 0.5 and greedy 0.6: who costs 0.9 must not be praised, who costs 0.1 not be blamed.
    assert module._fidelity(np.array([0.9]), np.array([0.5]), np.array([0.6])) == 0.0
    assert module._fidelity(np.array([0.1]), np.array([0.5]), np.array([0.6])) == 0.0


@pytest.mark.parametrize(("layers", "depth"), [(2, 1), (12, 11), (13, 4)])
def test_how_far_curves_go(layers: int, depth: int):
    weights = [0.01 * (layer + 1) for layer in range(layers)]
    found = measure(stack(*weights), order=list(range(layers)))
    assert {len(curve) for curve in found.curves.values()} == {depth}


def test_sets_are_shared_with_what_was_measured_before():
    found = stack(1.0, 0.5, 0.25)
    found.measure([frozenset(kept) for n in range(4) for kept in itertools.combinations(range(3), n)])
    measure(found, one=[1, 0, 2])
    assert found.evaluations == 8


def test_ablation_is_faithful_on_a_stack_it_describes():
    model = tiny.scalar_stack(1.0, 0.1, 0.5, 0.3)
    data = tiny.batches([[1], [2], [3]], [0, 1, 0])
    order = order_of(ablation(tiny.engine(model, data)))
    assert order == [1, 3, 2, 0]
    found = Coalitions(LayeredModel(model), Classification(), data)
    assert measure(found, ablation=order).values["ablation"].value == pytest.approx(1.0)
