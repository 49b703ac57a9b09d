import subprocess
import sys
from pathlib import Path

import pytest

from analyzers.datasets import Dataset, Example
from analyzers.datasets.splits import fingerprint, profile, split
from analyzers.errors import DataError
from analyzers.records import Lengths


def reviews(count: int = 200, sentences: int = 4) -> Dataset:
    examples = [
        Example(f"sentence {s} of review {r}", int((r + s) % 3 == 0), str(r))
        for r in range(count)
        for s in range(sentences)
    ]
    return Dataset(tuple(examples), ("negative", "positive"), "reviews")


def test_disjoint_by_group_and_about_70_15_15():
    dataset = reviews()
    splits = split(dataset, seed=0)
    parts = (splits.train, splits.select, splits.test)
    groups = [{example.group for example in part} for part in parts]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]
    assert sorted(example.text for part in parts for example in part) == sorted(e.text for e in dataset.examples)
    assert [len(part) / 800 for part in parts] == pytest.approx([0.70, 0.15, 0.15], abs=0.01)


def test_classes_keep_their_shares():
    examples = [Example(f"text {n}", int(n % 20 == 0), str(n)) for n in range(2000)]
    splits = split(Dataset(tuple(examples), ("no", "yes"), "rare"), seed=1)
    for part in (splits.train, splits.select, splits.test):
        assert sum(example.label for example in part) / len(part) == pytest.approx(0.05, abs=0.01)


def test_seeded():
    dataset = reviews()
    assert split(dataset, 3) == split(dataset, 3)
    assert split(dataset, 3).test != split(dataset, 4).test


def test_the_same_in_every_process():
    code = (
        "from tests.analyzers.datasets.test_splits import reviews; from analyzers.datasets.splits import split; "
        "print(split(reviews(), 5).fingerprints['test'].sha256)"
    )
    root = Path(__file__).parents[3]
    said = {
        subprocess.check_output([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, cwd=root, text=True).strip()
        for seed in "12"
    }
    assert said == {split(reviews(), 5).fingerprints["test"].sha256}


def test_fingerprints():
    splits = split(reviews(), 0)
    assert splits.fingerprints["train"].n == len(splits.train)
    assert splits.fingerprints["train"].sha256 == fingerprint(splits.train)
    first, *rest = splits.train
    assert fingerprint([*rest, first]) != fingerprint(splits.train)
    # Computed by hand: printf '["a", 1, "g"]\n' | sha256sum
    assert fingerprint([Example("a", 1, "g")]) == "7b2483cd41f136a21aa536d7989b21ce27de425619c9893d1537283809fbfaa7"


def test_a_text_of_train_is_not_in_test():
    examples = [Example(f"text {n % 150}", n % 2, f"group {n}") for n in range(300)]
    splits = split(Dataset(tuple(examples), ("a", "b"), "copies"), 0)
    train, select, test = ({example.text for example in part} for part in (splits.train, splits.select, splits.test))
    assert not train & select
    assert not train & test
    assert not select & test
    assert test


def test_without_labels():
    examples = tuple(Example(f"text {n}", None, str(n)) for n in range(100))
    splits = split(Dataset(examples, (), "plain"), 0)
    assert [len(splits.train), len(splits.select), len(splits.test)] == [70, 15, 15]


@pytest.mark.parametrize("groups", [1, 2])
def test_too_few_groups(groups: int):
    examples = tuple(Example(f"text {n}", n % 2, str(n % groups)) for n in range(50))
    with pytest.raises(DataError, match="at least three"):
        split(Dataset(examples, ("a", "b"), "few"), 0)


def test_three_groups_are_enough():
    examples = tuple(Example(f"text {n}", n % 2, str(n % 3)) for n in range(30))
    splits = split(Dataset(examples, ("a", "b"), "three"), 0)
    assert [len(splits.train), len(splits.select), len(splits.test)] == [10, 10, 10]


def test_one_text_only():
    examples = tuple(Example("same", n % 2, str(n)) for n in range(30))
    with pytest.raises(DataError, match="too few different texts"):
        split(Dataset(examples, ("a", "b"), "copies"), 0)


def test_a_split_is_described():
    texts = [Example("x" * length, int(length > 18), str(length)) for length in range(1, 21)]
    found = profile(texts, ("short", "long", "never"))
    assert found.n == 20
    assert found.classes == {"short": 18, "long": 2}
    assert found.lengths == Lengths(shortest=1, median=10.5, most=19.0, longest=20)
    assert profile([Example("ab", None, "0")], ()).classes == {}
