"""Pieces on the processes of a cluster: order, what they say, errors, stopping, dying."""

from typing import Any

import numpy as np
import pytest

from analyzers.errors import EngineFailed, NotFinite
from analyzers.progress import Progress
from tests.tools.cluster import pieces
from tests.tools.cluster.conftest import Heard

pytestmark = pytest.mark.usefixtures("cluster")


def test_results_come_in_the_order_of_the_items(pool: Any) -> None:
    assert list(pool.map(pieces.twice, [1], range(5), Progress())) == [1, 3, 5, 7, 9]
    assert list(pool.map(pieces.slow_first, [1], range(5), Progress())) == [0, 1, 2, 3, 4]


def test_what_pieces_share_is_read_once_by_each_process(pool: Any) -> None:
    shared = np.arange(10)
    seen = set(pool.map(pieces.identity, [shared], range(6), Progress()))
    assert len({process for process, _ in seen}) == len(seen) <= pool.workers
    other = np.arange(10)
    assert seen.isdisjoint(pool.map(pieces.identity, [other], range(6), Progress()))


def test_a_piece_says_what_it_has_to_say_and_how_far_it_is(pool: Any) -> None:
    heard = Heard()
    arrived: list[int] = []
    assert pool.submit(pieces.telling, [None], 7, arrived.append).result(heard) == 7
    assert heard.said == ["piece 7 says"]
    assert heard.steps[0] == ("started", "step of 7", 4)
    assert heard.steps[-1] == ("finished", "step of 7")
    assert {step[0] for step in heard.steps[1:-1]} == {"advanced"}
    assert arrived == [7]


def test_results_of_other_pieces_are_kept_while_one_is_waited_for(pool: Any) -> None:
    arrived: list[int] = []
    first = pool.submit(pieces.twice, [0], 4, arrived.append)
    list(pool.map(pieces.sleeping, [None], [0.3, 0.3], Progress()))
    assert arrived == [8]
    assert first.result(Progress()) == 8


def test_an_error_of_a_piece_is_raised_as_itself(pool: Any) -> None:
    with pytest.raises(NotFinite, match="piece 3 is not finite"):
        list(pool.map(pieces.failing, [None], [3], Progress()))
    with pytest.raises(RuntimeError, match="Odd: 3 and 2"):
        list(pool.map(pieces.failing_oddly, [None], [3], Progress()))


def test_pieces_that_nobody_waits_for_any_more_do_not_begin(pool: Any) -> None:
    with pytest.raises(NotFinite):
        list(pool.map(pieces.failing, [None], range(50), Progress()))
    assert not pool._waiting


def test_other_versions_are_refused(pool: Any) -> None:
    from tools.cluster.worker import versions

    with pytest.raises(EngineFailed, match=r"torch is 1\.0 there and"):
        pool._check({**versions(), "torch": "1.0"})
    pool._check(versions())
