"""How one training is shared out between processes."""

from pathlib import Path

import pytest
import torch
from torch import distributed

from analyzers import replicas
from analyzers.errors import Cancelled
from analyzers.progress import Progress
from analyzers.replicas import Distributed, Replicas
from analyzers.tasks.classification import Classification
from analyzers.training import train
from tests.analyzers.test_training import StopAfter, assert_same, request, tiny


@pytest.fixture
def group(monkeypatch: pytest.MonkeyPatch):
    """A group of which this process plays each member in turn; what is added up is what all gave so far."""

    class Group:
        def __init__(self, count: int) -> None:
            monkeypatch.setattr(replicas.distributed, "get_world_size", lambda: count)
            self.count = count

        def member(self, rank: int) -> Distributed:
            monkeypatch.setattr(replicas.distributed, "get_rank", lambda: rank)
            return Distributed()

    return Group


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("batch", [1, 2, 3, 7, 16])
def test_every_row_is_computed_once(group, count: int, batch: int):
    members = [group(count).member(rank) for rank in range(count)]
    shares = [member.rows(batch) for member in members]
    counted = [row for rows, share in shares if share for row in range(batch)[rows]]
    assert sorted(counted) == list(range(batch))
    assert sum(share for _, share in shares) == pytest.approx(1)
    assert all(rows.stop > rows.start for rows, _ in shares)  # all make the same passes
    assert [member.leads for member in members] == [True, *[False] * (count - 1)]


def test_losses_stand_in_their_places(group, monkeypatch: pytest.MonkeyPatch):
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(replicas.distributed, "all_reduce", seen.append)
    whole = torch.arange(1.0, 4.0)
    two = group(2)
    for rank in range(2):
        member = two.member(rank)
        rows, _ = member.rows(3)
        member.gathered(whole[rows], rows, 3)
    assert torch.equal(sum(seen), whole)
    idle = two.member(0)  # of one row, the second computes it
    rows, share = idle.rows(1)
    assert share == 0
    assert torch.equal(idle.gathered(torch.tensor([5.0]), rows, 1), torch.zeros(1))


def test_gradients_are_added_up_each_in_its_place(group, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replicas.distributed, "all_reduce", lambda flat: flat.mul_(2))
    model = torch.nn.Linear(2, 3)
    unused = torch.nn.Parameter(torch.zeros(2))
    model(torch.tensor([[1.0, 2.0]])).sum().backward()
    group(2).member(0).add_up([*model.parameters(), unused])
    assert torch.equal(model.weight.grad, torch.tensor([[2.0, 4.0]] * 3))
    assert torch.equal(model.bias.grad, torch.full((3,), 2.0))
    assert unused.grad is None


def test_pieces_are_computed_in_turn_and_come_in_order(group, monkeypatch: pytest.MonkeyPatch):
    computed: list[tuple[int, int]] = []

    def gather(found: list, mine: list) -> None:
        found[:] = [[10 * item for item in range(5)][rank::2] for rank in range(2)]
        assert mine == found[0]

    monkeypatch.setattr(replicas.distributed, "all_gather_object", gather)

    def piece(shared: int, item: int, progress: Progress) -> int:
        computed.append((shared, item))
        return shared * item

    assert list(group(2).member(0).executor.map(piece, [10], range(5), Progress())) == [0, 10, 20, 30, 40]
    assert computed == [(10, 0), (10, 2), (10, 4)]


def test_one_process_does_it_all():
    losses = torch.rand(3)
    alone = Replicas()
    assert alone.leads
    assert alone.rows(3) == (slice(0, 3), 1.0)
    assert alone.gathered(losses, slice(0, 3), 3) is losses


def test_a_group_of_one_trains_exactly_what_one_process_trains(tmp_path: Path):
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        there = trained(tmp_path / "there", Distributed())
        with pytest.raises(Cancelled):
            trained(tmp_path / "stopped", Distributed(), StopAfter(5))
        again = trained(tmp_path / "stopped", Distributed(), resume=True)
    finally:
        distributed.destroy_process_group()
    here = trained(tmp_path / "here", None)
    for result, weights in (there, again):
        assert_same(weights, here[1])
        assert [each.select for each in result.epochs] == [each.select for each in here[0].epochs]


def trained(folder: Path, group: Replicas | None, progress: Progress | None = None, resume: bool = False):
    folder.mkdir(exist_ok=True)
    model, tokenizer, splits = tiny(folder)
    given = (Classification(), tokenizer, splits, request(epochs=2), folder, progress or Progress())
    return train(model, *given, resume=resume, replicas=group), model.state_dict()
