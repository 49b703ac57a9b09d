"""Tags, notes, pins, and what they keep from happening."""

from pathlib import Path

import pytest

from analyzers.errors import DamagedRecord, UnknownRun, UsageError
from knowledge.runs import RunStore
from tests.sample_runs import story


@pytest.fixture
def filled(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "home", embedder_folder=None)
    for run in story():
        store.save(run)
    return store


def test_labels_leave_the_record_alone_and_are_searched(filled: RunStore) -> None:
    record = filled.folder("plan-4c4c4c") / "record.json"
    before = record.read_bytes()
    filled.tag("plan-4c4c4c", ["zebra", "Zebra", "v2"])
    filled.note("plan-4c4c4c", "the giraffe of all plans")
    assert record.read_bytes() == before
    again = RunStore(filled.home, embedder_folder=None)
    assert again.labels("plan-4c4c4c").tags == ("v2", "zebra")
    assert again.search("giraffe zebra")[0].run.id == "plan-4c4c4c"
    again.tag("plan-4c4c4c", ["zebra"], remove=True)
    assert again.labels("plan-4c4c4c").tags == ("v2",)
    assert again.notices == []


def test_no_labels_are_no_file(filled: RunStore) -> None:
    filled.pin("plan-4c4c4c")
    filled.pin("plan-4c4c4c", False)
    assert [each.name for each in filled.folder("plan-4c4c4c").iterdir()] == ["record.json"]


@pytest.mark.parametrize("name", ["", "two words", "-x", "a" * 41, "../x"])
def test_a_tag_is_one_word(filled: RunStore, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a tag"):
        filled.tag("plan-4c4c4c", [name])


def test_labels_of_a_run_that_is_not_there(filled: RunStore) -> None:
    with pytest.raises(UnknownRun):
        filled.note("plan-zzzzzz", "x")
    with pytest.raises(UsageError, match="empty note"):
        filled.note("plan-4c4c4c", " ")


def test_damaged_labels_are_not_overwritten_and_hide_no_run(filled: RunStore) -> None:
    path = filled.folder("plan-4c4c4c") / "labels.json"
    path.write_text('{"colour": "red"}')
    with pytest.raises(DamagedRecord, match=r"labels\.json.*newer version"):
        filled.tag("plan-4c4c4c", ["x"])
    assert path.read_text() == '{"colour": "red"}'
    assert len(RunStore(filled.home, embedder_folder=None).list()) == 4
    assert filled.labels_of(filled.list()) == {}
    assert "labels.json" in filled.notices[-1]


def test_deleting_names_all_dependants_and_spares_the_pinned(filled: RunStore) -> None:
    with pytest.raises(UsageError, match=r"analysis-3b3b3b, plan-4c4c4c, compression-5d5d5d.*--with-dependants"):
        filled.delete("train-2a2a2a")
    filled.pin("compression-5d5d5d")
    with pytest.raises(UsageError, match=r"compression-5d5d5d is pinned and nothing was deleted.*--remove"):
        filled.delete("train-2a2a2a", with_dependants=True)
    with pytest.raises(UsageError, match="pinned"):
        filled.delete("compression-5d5d5d", force=True)
    assert len(filled.list()) == 4
    filled.pin("compression-5d5d5d", False)
    assert filled.delete("analysis-3b3b3b", with_dependants=True) == [
        "compression-5d5d5d",
        "plan-4c4c4c",
        "analysis-3b3b3b",
    ]
    assert [run.id for run in filled.list()] == ["train-2a2a2a"]


def test_lineage_up_and_down(filled: RunStore) -> None:
    found = filled.lineage("plan-4c4c4c")
    assert found.parents == ["analysis-3b3b3b"]
    assert found.children == ["compression-5d5d5d"]
    assert set(found.above) >= {"analysis-3b3b3b", "train-2a2a2a"}
    assert found.below == ["compression-5d5d5d"]
    assert found.roots() == ["train-2a2a2a"]
