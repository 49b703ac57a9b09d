import pytest

from analyzers.consensus import agreement, consensus, order_of, values_of
from analyzers.records import Estimate, LayerScore


def scores(*values: float) -> list[LayerScore]:
    return [LayerScore(layer=layer, value=value, low=value, high=value) for layer, value in enumerate(values)]


def fidelity(**values: float) -> dict[str, Estimate]:
    return {name: Estimate(value=value) for name, value in values.items()}


ONE, TWO, THREE = scores(4, 3, 2, 1), scores(1, 2, 3, 4), scores(10, 30, 20, 0)


def test_values_stand_by_layer():
    assert values_of(list(reversed(ONE))).tolist() == [4, 3, 2, 1]


def test_order_of_removal():
    assert order_of(THREE) == [3, 0, 2, 1]
    assert order_of(scores(1, 0, 1, 0)) == [1, 3, 0, 2]  # of equal ones the earlier first


def test_agreement():
    found = agreement({"one": ONE, "two": TWO, "three": THREE})
    assert found.tau["one"] == {"one": 1.0, "two": -1.0, "three": pytest.approx((4 - 2) / 6)}
    assert found.tau["three"]["two"] == found.tau["two"]["three"] == pytest.approx(-2 / 6)
    # Rank sums 4+1+2, 3+2+4, 2+3+3, 1+4+1 around 7.5.
    spread = 0.5**2 + 1.5**2 + 0.5**2 + 1.5**2
    assert found.kendall_w == pytest.approx(12 * spread / (9 * (64 - 4)))


def test_agreement_of_equal_methods_and_of_one():
    assert agreement({"one": ONE, "again": ONE}).kendall_w == 1.0
    alone = agreement({"one": ONE})
    assert alone.kendall_w is None
    assert alone.tau == {"one": {"one": 1.0}}


def test_a_constant_method_agrees_with_nothing_but_itself():
    found = agreement({"one": ONE, "constant": scores(1, 1, 1, 1)})
    assert found.tau["one"]["constant"] == 0.0
    assert found.tau["constant"]["constant"] == 1.0


def test_consensus_is_weighted_by_fidelity():
    both = {"one": ONE, "two": TWO}
    assert consensus(both, fidelity(one=0.9, two=0.1)) == [0, 1, 2, 3]
    assert consensus(both, fidelity(one=0.1, two=0.9)) == [3, 2, 1, 0]


def test_consensus_by_hand():
    # Weighted rank sums: 0.5 · (4 3 2 1) + 0.4 · (2 4 3 1) = 2.8 3.1 2.2 0.9
    assert consensus({"one": ONE, "three": THREE}, fidelity(one=0.5, three=0.4)) == [1, 0, 2, 3]


def test_a_method_no_better_than_chance_has_no_say():
    assert consensus({"one": ONE, "two": TWO}, fidelity(one=0.01, two=-5.0)) == [0, 1, 2, 3]


def test_all_count_alike_where_none_is_better_than_chance():
    # Rank sums 4+1+2, 3+2+4, 2+3+3, 1+4+1
    found = consensus({"one": ONE, "two": TWO, "three": THREE}, fidelity(one=-1.0, two=0.0, three=-0.2))
    assert found == [1, 2, 0, 3]


def test_a_far_outlier_is_one_rank():
    assert consensus({"one": scores(1, 2, 1e9), "two": scores(3, 2, 1)}, fidelity(one=0.5, two=0.6)) == [0, 1, 2]
