"""What the catalogue says is what the records say: after edits by hand, kills, and clocks that are set back."""

import json
import os
import shutil
from pathlib import Path

import pytest

from analyzers.errors import DamagedRecord
from knowledge.catalogue import Catalogue
from knowledge.runs import RunStore
from tests.sample_runs import evaluation_run, plan_run, story


@pytest.fixture
def filled(tmp_path: Path) -> RunStore:
    store = RunStore(tmp_path / "home", embedder_folder=None)
    for run in [*story(), evaluation_run()]:
        store.save(run)
    return store


def edit(store: RunStore, run_id: str, **changes: object) -> None:
    path = store.folder(run_id) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_reading_a_home_again_reads_no_record_for_nothing(filled: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    again = RunStore(filled.home, embedder_folder=None)
    read = []
    monkeypatch.setattr("knowledge.disk.parsed", lambda path: read.append(path))
    assert again.count() == 5
    assert len(again.list(limit=2)) == 2
    assert read == []


def test_an_edit_by_hand_is_noticed_when_the_run_is_listed_and_at_the_next_opening(filled: RunStore) -> None:
    assert len(filled.list()) == 5
    edit(filled, "plan-4c4c4c", status="failed")
    assert filled.get("plan-4c4c4c").status == "failed"
    assert {run.id: run.status for run in filled.list()}["plan-4c4c4c"] == "failed"
    assert [run.id for run in filled.list(status="failed")] == ["plan-4c4c4c"]
    edit(filled, "train-2a2a2a", status="failed")
    again = RunStore(filled.home, embedder_folder=None)
    assert again.count(status="failed") == 2


def test_a_record_of_a_newer_version_is_shown_as_unreadable_and_comes_back(filled: RunStore) -> None:
    before = (filled.folder("plan-4c4c4c") / "record.json").read_text()
    edit(filled, "plan-4c4c4c", cloud="yes")
    again = RunStore(filled.home, embedder_folder=None)
    assert len(again.list()) == 4
    assert "plan-4c4c4c/record.json" in again.unreadable()["plan-4c4c4c"]
    with pytest.raises(DamagedRecord, match=r"newer version \(cloud"):
        again.get("plan-4c4c4c")
    (filled.folder("plan-4c4c4c") / "record.json").write_text(before)
    again = RunStore(filled.home, embedder_folder=None)
    assert len(again.list()) == 5
    assert again.unreadable() == {}


def test_a_writer_that_was_killed_between_record_and_catalogue(
    filled: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = RunStore(filled.home, embedder_folder=None)
    assert reader.count() == 5

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Catalogue, "put", killed)
        with pytest.raises(SystemExit):
            filled.save(plan_run(status="cancelled"))
    assert [run.id for run in reader.list(status="cancelled")] == ["plan-4c4c4c"]
    assert reader.notices == []


def test_runs_that_are_copied_in_or_removed_while_the_home_is_open(filled: RunStore, tmp_path: Path) -> None:
    assert filled.count() == 5
    other = RunStore(tmp_path / "other", embedder_folder=None)
    for number in range(3):
        other.save(evaluation_run(run_id=f"evaluation-{number:06d}"))
        shutil.copytree(other.folder(f"evaluation-{number:06d}"), filled.folder(f"evaluation-{number:06d}"))
        assert filled.count() == 6 + number
    shutil.rmtree(filled.folder("evaluation-000000"))
    assert filled.count() == 7


def test_a_clock_that_was_set_back_hides_no_change(filled: RunStore) -> None:
    """The record is replaced by one of the same size and time."""
    assert filled.count(status="done") == 5
    path = filled.folder("plan-4c4c4c") / "record.json"
    old = path.stat()
    replacement = path.with_name("new")
    replacement.write_text(path.read_text().replace('"seed": 0', '"seed": 7'))
    os.utime(replacement, ns=(old.st_atime_ns, old.st_mtime_ns))
    replacement.rename(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    again = RunStore(filled.home, embedder_folder=None)
    assert again.count() == 5
    assert "1 added or changed" in again.notices[0]


def test_a_folder_without_a_record_is_no_run_until_it_has_one(filled: RunStore) -> None:
    folder = filled.folder("plan-777777")
    folder.mkdir()
    assert filled.count() == 5
    record = plan_run(run_id="plan-777777").model_dump_json()
    (folder / "record.json").write_text(record)
    assert filled.count() == 6


def test_a_home_that_cannot_hold_a_catalogue_is_read_all_the_same(tmp_path: Path, filled: RunStore) -> None:
    shutil.rmtree(filled.home / "index")
    (filled.home / "index").write_text("a file is in the way")
    again = RunStore(filled.home, embedder_folder=None)
    assert len(again.list()) == 5
    assert "in memory" in again.notices[0]
