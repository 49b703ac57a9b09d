"""Choosing layers by measuring. The losses are made up here, so the best subset is known."""

import math
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from analyzers.baselines import Similarity
from analyzers.budget import Budget
from analyzers.errors import BadTarget
from analyzers.planning import Published, Search, within_drop
from analyzers.progress import Progress
from analyzers.targets import check_drop, keep_within, layers_to_keep


class Invented:
    """Coalitions whose loss is a table: layers have a worth, and some only together."""

    def __init__(self, layers: int, seed: int = 0, higher_is_better: bool = False, disagreement: float = 0) -> None:
        self.noise = 0.0  # of a few examples
        self.disagreement = disagreement  # of the metric with the loss
        self.layered = range(layers)
        self.everything = frozenset(range(layers))
        dice = np.random.default_rng(seed)
        self.worth = dice.uniform(0, 1, layers)
        self.together = np.triu(dice.normal(0, 0.6, (layers, layers)), 1)
        self.task = SimpleNamespace(higher_is_better=higher_is_better)
        self.measured: dict[frozenset[int], float] = {}
        self.batches = range(8)
        self.seen: set[tuple[frozenset[int], int]] = set()

    def loss(self, kept: frozenset[int]) -> float:
        lost = self.everything - kept
        pairs = sum(self.together[a, b] for a, b in combinations(sorted(lost), 2))
        return 1 + sum(self.worth[layer] for layer in lost) + pairs

    def measure(self, sets, progress=None, step="") -> list[float]:
        sets = list(sets)
        self.rough(sets, self.batches)
        self.measured.update({kept: self.loss(kept) for kept in sets})
        return []

    def rough(self, sets, numbers, progress=None, step="") -> list[float]:
        """Each batch sees a loss of its own around the true one."""
        self.seen.update((kept, number) for kept in sets for number in numbers)
        noise = self.noise
        return [
            self.loss(kept)
            + noise * np.mean([math.sin(sum(3**layer for layer in kept) + 7 * n) for n in numbers]) * (len(numbers) < 8)
            for kept in sets
        ]

    def mean_loss(self, kept: frozenset[int]) -> float:
        self.measure([kept])
        return self.measured[kept]

    def metric(self, kept: frozenset[int]) -> float:
        cost = self.mean_loss(kept) + self.disagreement * math.sin(sum(2**layer for layer in kept))
        return -cost if self.task.higher_is_better else cost

    def known(self) -> list[frozenset[int]]:
        return list(self.measured)

    @property
    def evaluations(self) -> int:
        return len(self.measured)

    @property
    def spent(self) -> float:
        return len(self.seen) / 8


class Torn(Invented):
    """Layers of two parts each: one without the other costs more than both."""

    def loss(self, kept: frozenset[int]) -> float:
        whole = frozenset(unit // 2 for unit in kept if unit ^ 1 in kept)
        torn = len(kept) - 2 * len(whole)
        return super().loss(frozenset(unit for layer in whole for unit in (2 * layer, 2 * layer + 1))) + 3 * torn


def test_whole_layers_are_exchanged_where_parts_alone_lead_nowhere():
    coalitions = Torn(24, seed=3)
    search = search_of(coalitions, budget=150)
    groups = [frozenset({2 * layer, 2 * layer + 1}) for layer in range(12)]
    published = replace(
        search.published,
        found=Similarity(np.linspace(0.1, 0.9, 12), np.ones((13, 13)), np.ones((13, 13))),
        orders={},
        taylor=[*range(12)],
    )
    parts = replace(search, groups=groups, published=published)
    kept, seeds, every = parts.best(8)
    sets = [parts.without(layers) for layers in combinations(range(12), 4)]
    ranked = sorted(sets, key=coalitions.loss)
    assert not every
    assert kept in ranked[:5], ranked.index(kept)
    assert min(map(coalitions.loss, seeds.values())) > coalitions.loss(kept)


def search_of(coalitions: Invented, budget: float | None, orders=None, minutes=None, **more) -> Search:
    layers = len(coalitions.layered)
    angle = np.abs(np.subtract.outer(np.arange(layers + 1.0), np.arange(layers + 1.0)))
    orders = {"shap": list(range(layers))} if orders is None else orders
    coalitions.measure([coalitions.everything])
    found = Similarity(np.linspace(0.1, 0.9, layers), angle, -angle)
    published = Published(orders, found, list(range(layers)))
    groups = [frozenset({layer}) for layer in range(layers)]
    return Search(coalitions, groups, [1] * layers, published, Budget(budget, minutes), Progress(), **more)


@pytest.mark.parametrize(
    ("target", "layers", "keep"),
    [
        ({"keep": 1}, 2, 1),
        ({"keep": 5}, 6, 5),
        ({"keep": 6}, 6, 6),  # a plan that only quantizes
        ({"ratio": 1}, 6, 6),
        ({"ratio": 2}, 6, 3),
        ({"ratio": 6}, 6, 1),
        ({"ratio": 1.01}, 6, 5),
        ({"ratio": 1.5}, 6, 4),
        ({"ratio": 9 / 7}, 9, 7),  # 9 / (9 / 7) is 6.999999999999999
        ({"ratio": 3}, 30, 10),
        ({"ratio": 30 / 7}, 30, 7),
        ({"ratio": 2}, 7, 3),  # never more layers than asked for
    ],
)
def test_layers_to_keep(target, layers: int, keep: int):
    assert layers_to_keep(target, layers) == keep


@pytest.mark.parametrize("ratio", [0, 0.5, 0.99, 6.01, 1e9, -2, math.inf, math.nan])
def test_ratios_that_cannot_be_met(ratio: float):
    with pytest.raises(BadTarget, match=r"ratio .* with 6 layers; allowed is 1 to 6: .* --ratio 2"):
        layers_to_keep({"ratio": ratio}, 6)


@pytest.mark.parametrize("keep", [0, -1, 7, 60])
def test_numbers_of_layers_that_cannot_be_kept(keep: int):
    with pytest.raises(BadTarget, match=rf"cannot keep {keep} of 6 layers; allowed are 1 to 6: .* --ratio 2"):
        layers_to_keep({"keep": keep}, 6)


@pytest.mark.parametrize("drop", [-0.1, 1, 2, math.nan, math.inf])
def test_drops_that_are_none(drop: float):
    with pytest.raises(BadTarget, match=r"drop of .* is not allowed; allowed is 0 to 1, such as --max-drop 0\.02"):
        check_drop(drop)


BASELINES = {
    "block_influence",
    "angular_block",
    "cosine_window",
    "reverse_order",
    "deepest_but_last",
    "taylor_protected",
    "one_shot_loss",
    "greedy",
    "random_1",
    "random_2",
    "random_3",
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("higher_is_better", [False, True])
def test_an_exhaustive_search_finds_the_best(seed: int, higher_is_better: bool):
    coalitions = Invented(6, seed, higher_is_better)
    kept, seeds, exhaustive = search_of(coalitions, 64).best(3)
    assert exhaustive
    assert kept == min(map(frozenset, combinations(range(6), 3)), key=coalitions.loss)
    assert set(seeds) == {"shap", *BASELINES}
    assert all(len(seed) == 3 for seed in seeds.values())


def test_the_seeds_by_hand():
    seeds = search_of(Invented(6), 64, {"shap": [4, 0, 2, 1, 3, 5]}).seeds(4)
    assert seeds["shap"] == {1, 2, 3, 5}
    assert seeds["reverse_order"] == {0, 1, 2, 3}
    assert seeds["block_influence"] == {0, 1, 2, 3}  # the last two are the most alike before and after
    assert seeds["angular_block"] == {2, 3, 4, 5}  # all runs of two turn alike: the first
    assert seeds["cosine_window"] == {2, 3, 4, 5}
    assert seeds["deepest_but_last"] == {0, 1, 2, 5}
    assert seeds["taylor_protected"] == {2, 3, 4, 5}  # all six are protected, so the lowest go
    assert len({seeds[f"random_{number}"] for number in (1, 2, 3)}) > 1


def test_the_greedy_seed_removes_the_cheapest_each_time():
    coalitions = Invented(6, 3)
    first = min(range(6), key=lambda layer: coalitions.loss(coalitions.everything - {layer}))
    rest = coalitions.everything - {first}
    second = min(rest, key=lambda layer: coalitions.loss(rest - {layer}))
    assert search_of(coalitions, 64).seeds(4)["greedy"] == rest - {second}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0, 0.5])
def test_the_search_is_never_worse_than_a_seed(seed: int, noise: float):
    coalitions = Invented(12, seed)
    coalitions.noise = noise
    search = search_of(coalitions, 150)
    kept, seeds, exhaustive = search.best(6)
    assert not exhaustive
    assert all(search.quality(kept) <= search.quality(chosen) for chosen in seeds.values())
    same_size = [each for each in coalitions.known() if len(each) == 6]
    assert search.quality(kept) == min(map(search.quality, same_size)), "something better was measured and not taken"


def test_the_search_improves_on_the_seeds():
    better = 0
    for seed in range(8):
        search = search_of(Invented(12, seed), 100)
        kept, seeds, _ = search.best(6)
        better += search.quality(kept) < min(map(search.quality, seeds.values()))
    assert better >= 4  # in the others a seed is the best there is


def test_the_search_finds_the_best_of_many():
    """A tenth of the work that measuring all 924 sets would be."""
    found = 0
    for seed in range(8):
        coalitions = Invented(12, seed)
        kept, _, exhaustive = search_of(coalitions, 92).best(6)
        assert not exhaustive
        found += kept == min(map(frozenset, combinations(range(12), 6)), key=coalitions.loss)
    assert found >= 6


def test_the_search_finds_a_planted_set():
    """Only one set of 8 of 24 layers costs nothing, and each of its layers alone looks dear."""
    planted = {1, 4, 5, 9, 13, 14, 20, 22}

    class Planted(Invented):
        def loss(self, kept: frozenset[int]) -> float:
            lost = self.everything - kept
            return len(lost - planted) + 0.5 * (len(lost & planted) % 8)

    kept, _, _ = search_of(Planted(24), 150).best(16)
    assert set(range(24)) - kept == planted


def test_the_same_seed_gives_the_same():
    def measured(seed: int) -> dict[frozenset[int], float]:
        coalitions = Invented(12, 1)
        coalitions.noise = 0.3
        search_of(coalitions, 60, seed=seed).best(6)
        return coalitions.measured

    assert list(measured(0)) == list(measured(0))
    assert list(measured(0)) != list(measured(1))


@pytest.mark.parametrize("layers", [12, 30])
def test_the_baselines_leave_most_of_the_budget(layers: int):
    measured = Invented(layers)
    search = search_of(measured, 1)
    search.best(layers - 8)
    assert measured.spent < 64 / 2


@pytest.mark.parametrize("budget", [1, 30, 40, 80])
def test_the_budget_is_kept(budget: int):
    measured = Invented(12)
    search_of(measured, 1).best(6)
    baselines = measured.spent  # always measured
    coalitions = Invented(12)
    search_of(coalitions, budget).best(6)
    assert coalitions.spent <= max(budget + 5, baselines), "only the round that was begun is finished"
    assert coalitions.spent == baselines or budget > baselines


def test_minutes_are_kept_and_repeated_by_evaluations(monkeypatch: pytest.MonkeyPatch):
    """A clock that goes on by a second with each set: 40 of them are two thirds of a minute."""
    coalitions = Invented(12, 2)
    monkeypatch.setattr("analyzers.budget.time.monotonic", lambda: coalitions.spent)
    kept, _, _ = search_of(coalitions, None, minutes=40 / 60).best(6)
    assert 40 <= coalitions.spent < 48
    monkeypatch.undo()
    again = Invented(12, 2)
    assert search_of(again, coalitions.spent).best(6)[0] == kept
    assert list(again.measured) == list(coalitions.measured)


def test_the_time_of_a_killed_search_counts(monkeypatch: pytest.MonkeyPatch):
    now, kept = [0.0], []
    monkeypatch.setattr("analyzers.budget.time.monotonic", lambda: now[0])
    budget = Budget(minutes=2, earlier=90, clock=kept.append)
    assert budget.left(5) == math.inf
    now[0] = 29
    budget.mark()
    assert kept == [119]
    assert budget.time_left(5) == 1
    assert Budget(evaluations=20).time_left(5) == 0, "no time has passed on this clock"
    now[0] = 30
    assert budget.left(5) == 0


def test_no_subset_is_counted_twice():
    search = search_of(Invented(6), 64)
    search.best(3)
    before = search.coalitions.spent
    search.best(3)
    assert search.coalitions.spent == before


def test_exhaustive_only_within_the_budget():
    assert search_of(Invented(6), 40).best(3)[2]
    assert not search_of(Invented(6), 20).best(3)[2]


def test_the_best_of_each_size():
    coalitions = Invented(5)
    search = search_of(coalitions, 64)
    for keep in (1, 2, 3, 4):
        search.best(keep)
    sizes = search.frontier()
    assert list(sizes) == [5, 4, 3, 2, 1]
    for size, kept in sizes.items():
        assert kept == min(map(frozenset, combinations(range(5), size)), key=coalitions.loss)


class Additive(Invented):
    """Each layer that goes costs a hundredth."""

    def __init__(self, layers: int, higher_is_better: bool = False) -> None:
        super().__init__(layers, higher_is_better=higher_is_better)
        self.worth = np.arange(1, layers + 1) / 100
        self.together = np.zeros((layers, layers))


@pytest.mark.parametrize("higher_is_better", [False, True])
@pytest.mark.parametrize(
    ("drop", "kept"),
    [(0.011, {1, 2, 3, 4}), (0.031, {2, 3, 4}), (0.0599, {2, 3, 4}), (0.0601, {3, 4}), (0.99, {4})],
)
def test_the_smallest_within_a_drop(drop: float, kept: set[int], higher_is_better: bool):
    # Losses of 1 + 0.01 + 0.02 + …: the drop is a difference for accuracy, and relative to 1 for perplexity.
    found, seeds, exhaustive = within_drop(search_of(Additive(5, higher_is_better), 64), drop)
    assert found == kept
    assert exhaustive
    assert set(seeds)


def test_no_model_within_the_drop():
    with pytest.raises(BadTarget, match=r"within a drop of 0\.005; the nearest measured is 0\.0100 with 4 of 5 layers"):
        within_drop(search_of(Additive(5), 64), 0.005)
    with pytest.raises(BadTarget, match="is not allowed"):
        within_drop(search_of(Additive(5), 64), 1.5)


def test_a_drop_that_only_fewer_layers_meet():
    """Each layer of a pair alone breaks the model; without both it is as good as ever."""

    class Paired(Invented):
        def loss(self, kept: frozenset[int]) -> float:
            lost = self.everything - kept
            return 1.0 + 9 * (lost != {2, 3} and bool(lost))

    for layers, budget in ((5, 64), (14, 40)):
        found, _, _ = within_drop(search_of(Paired(layers), budget), 0.01)
        assert set(range(layers)) - found == {2, 3}


@pytest.mark.parametrize(
    ("limit", "keep"),
    [(9.99, 3), (9.0, 3), (8.9, 2), (7, 2), (6.9, 1), (4.0, 1)],  # without the cheapest 1, 1 + 2, 1 + 2 + 3 of 10
)
def test_layers_within_a_limit(limit: float, keep: int):
    assert keep_within(limit, 10, [3, 1, 2, 3.5], "--max-latency", "ms") == keep


def test_limits_that_cannot_be_met():
    with pytest.raises(BadTarget, match=r"--max-size 3 cannot be reached.*with 1 of 3 the model takes 7 MB of 10"):
        keep_within(3, 10, [1, 2, 3], "--max-size", "MB")
    with pytest.raises(BadTarget, match=r"nearest that can be reached is --max-latency 7\.02$"):
        keep_within(3, 10.011, [1, 2, 3], "--max-latency", "ms")
    # timed one by one, layers of a busy machine may seem to take longer than all together: 5 of 20, which is 2.5 of 10
    with pytest.raises(BadTarget, match=r"with 1 of 4 the model takes 2\.5 ms of 10"):
        keep_within(0.001, 10, [5, 5, 5, 5], "--max-latency", "ms")
    assert keep_within(7.02, 10.011, [1, 2, 3], "--max-latency", "ms") == 1
    with pytest.raises(BadTarget, match=r"takes 10 MB, no more than --max-size 10; there is nothing to remove"):
        keep_within(10, 10, [1, 2, 3], "--max-size", "MB")
