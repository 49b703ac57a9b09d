"""What a preview counts, by hand."""

from pathlib import Path

import pytest

from analyzers.datasets import Dataset, Example
from analyzers.datasets.preview import look_at, preview
from analyzers.errors import UnknownData


def dataset(*texts: str, labels: tuple[str, ...] = ("no", "yes")) -> Dataset:
    examples = tuple(Example(text, place % 2 if labels else None, f"group {place}") for place, text in enumerate(texts))
    return Dataset(examples, labels, "csv:some.csv")


def test_counts_and_lengths():
    found = look_at(dataset("a", "bb", "cc", "dddd", "A", *("x" * 10 for _ in range(15))), ["read"])
    assert (found.data, found.examples, found.groups) == ("csv:some.csv", 20, 20)
    assert [(each.label, each.examples) for each in found.classes] == [("no", 10), ("yes", 10)]
    assert found.repeated == 15  # "A" is "a", and the long text stands 14 times more
    lengths = found.lengths
    assert (lengths.least, lengths.median, lengths.most_of_them, lengths.longest, lengths.longer) == (1, 10, 10, 10, 0)
    assert (lengths.edges[0], lengths.edges[-1], len(lengths.edges)) == (0, 10, 11)
    assert lengths.counts == [0, 2, 2, 0, 1, 0, 0, 0, 0, 15]
    assert found.first[3].model_dump() == {"text": "dddd", "label": "yes"}
    assert len(found.first) == 10
    assert found.notes[0] == "read"


def test_every_text_is_in_a_bin_or_beyond_the_last():
    found = look_at(dataset(*("x" * n for n in range(1, 201))), []).lengths
    assert sum(found.counts) + found.longer == 200
    assert found.longer == 9  # less than 5 %
    assert (found.most_of_them, found.longest) == (191, 200)
    assert len(found.counts) == 30


def test_splits_of_seed_0_or_why_there_are_none():
    found = look_at(dataset(*(f"text {n}" for n in range(40))), [])
    assert sum(found.splits.values()) == 40
    assert set(found.splits) == {"train", "select", "test"}
    few = look_at(dataset("a", "b"), [])
    assert few.splits == {}
    assert "three splits need at least three" in few.notes[0]


def test_without_labels(tmp_path: Path):
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "text {n}"}}\n' for n in range(5)))
    found = preview(f"jsonl:{tmp_path / 'a.jsonl'}", tmp_path)
    assert (found.classes, found.examples) == ([], 5)
    assert {row.label for row in found.first} == {""}
    assert any("looks like a label" in note for note in found.notes)
    with pytest.raises(UnknownData):
        preview("demo:nothing", tmp_path)
