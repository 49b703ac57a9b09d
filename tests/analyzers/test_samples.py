import pytest
import torch

from analyzers.samples import ROWS, growing, spread
from analyzers.tasks import Batch
from tests import tiny


def batches(*lengths: int) -> list[Batch]:
    """Rows hold their own number in the whole, so that it shows which were taken."""
    numbers = iter(range(sum(lengths)))
    made = []
    for length in lengths:
        own = torch.tensor([next(numbers) for _ in range(length)])
        made.append(Batch({"input_ids": own.unsqueeze(1)}, own, own))
    return made


@pytest.mark.parametrize(
    ("lengths", "rows", "taken"),
    [
        ((4, 4, 2), 3, [0, 4, 9]),
        ((16,), 4, [0, 5, 10, 15]),
        ((3, 2), 5, [0, 1, 2, 3, 4]),
        ((3, 2), 100, [0, 1, 2, 3, 4]),
        ((5,), 1, [0]),
    ],
)
def test_rows_come_evenly_from_all_batches(lengths: tuple[int, ...], rows: int, taken: list[int]) -> None:
    found = spread(batches(*lengths), rows)
    assert torch.cat([batch.labels for batch in found]).tolist() == taken
    assert torch.cat([batch.inputs["input_ids"] for batch in found]).flatten().tolist() == taken
    assert torch.cat([batch.indices for batch in found]).tolist() == list(range(len(taken)))


@pytest.mark.parametrize(
    ("there", "read"), [(1000, [4, 8, 16, 32]), (20, [4, 8, 16, 20]), (16, [4, 8, 16]), (3, [3]), (4, [4])]
)
def test_growing_samples(there: int, read: list[int]):
    rows = ROWS["classification"]._replace(least=4, most=32)

    def sample(size: int) -> list[Batch]:
        return tiny.random_batches(min(size, there))

    assert [sum(len(batch) for batch in batches) for batches in growing(rows, sample)] == read
