"""The run history: what is saved is found again, whatever happens to the index, to a record or in another process."""

import hashlib
import json
import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from chromadb.api.models.Collection import Collection

from analyzers.errors import DamagedRecord, StorageError, UnknownRun, UsageError
from analyzers.records import Artifact, Run
from knowledge.catalogue import Catalogue
from knowledge.runs import RunStore
from tests.sample_runs import analysis_run, compression_run, evaluation_run, plan_run, story, train_run


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "home", embedder_folder=None)


@pytest.fixture
def filled(store: RunStore) -> RunStore:
    for run in [*story(), evaluation_run()]:
        store.save(run)
    return store


def reopened(store: RunStore) -> RunStore:
    return RunStore(store.home, embedder_folder=None)


def test_a_saved_run_is_read_back_equal_by_another_store(filled: RunStore) -> None:
    for run in [*story(), evaluation_run()]:
        assert reopened(filled).get(run.id) == run


def test_saving_again_replaces(store: RunStore) -> None:
    store.save(train_run(status="running", result=None))
    store.save(train_run())
    assert store.get("train-2a2a2a").status == "done"
    assert [hit.run.status for hit in store.search("training")] == ["done"]
    assert store.search("training", status="running") == []


def test_list_is_newest_first_and_filters_by_field(filled: RunStore) -> None:
    kinds = [run.kind for run in filled.list()]
    assert kinds == ["evaluation", "compression", "plan", "analysis", "train"]
    assert [run.id for run in filled.list(kind="plan")] == ["plan-4c4c4c"]
    assert [run.id for run in filled.list(model="demo:minilm")] == ["train-2a2a2a"]
    assert [run.id for run in filled.list(data="demo:movie", status="done")] == ["evaluation-6e6e6e"]
    assert filled.list(status="failed") == []
    assert [run.kind for run in filled.list(limit=2)] == ["evaluation", "compression"]


def test_an_empty_home_lists_nothing_and_is_not_created(store: RunStore) -> None:
    assert store.list() == []
    assert not store.home.exists()


@pytest.mark.parametrize("run_id", ["analysis-zzzzzz", "../../etc", "", "Analysis-1", "train-2a2a2a/.."])
def test_an_unknown_run_names_the_newest_and_the_next_command(filled: RunStore, run_id: str) -> None:
    with pytest.raises(UnknownRun, match=r"newest are evaluation-6e6e6e.*layerwise runs list"):
        filled.get(run_id)


def test_an_unknown_run_in_an_empty_home(store: RunStore) -> None:
    with pytest.raises(UnknownRun, match="there are none yet"):
        store.get("plan-aaaaaa")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"id": "plan-4c4c4c"', b"[]", b"\xff\xfe\x00", b'{"id": "plan-4c4c4c", "kind": "plan"}'],
    ids=["empty", "cut", "not-an-object", "bytes", "fields-missing"],
)
def test_one_damaged_record_hides_no_other(filled: RunStore, content: bytes) -> None:
    (filled.folder("plan-4c4c4c") / "record.json").write_bytes(content)
    with pytest.raises(DamagedRecord, match=r"plan-4c4c4c.*layerwise runs delete plan-4c4c4c"):
        filled.get("plan-4c4c4c")
    again = reopened(filled)
    assert len(again.list()) == 4
    assert again.notices[0].startswith("the history was behind the records: 1 added or changed")
    assert "plan-4c4c4c" in again.notices[1]
    assert list(again.unreadable()) == ["plan-4c4c4c"]
    assert "plan-4c4c4c" not in [hit.run.id for hit in again.search("plan", limit=10)]


def test_a_record_of_a_newer_version_is_refused(filled: RunStore) -> None:
    path = filled.folder("train-2a2a2a") / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cloud": "yes"}))
    with pytest.raises(DamagedRecord, match=r"newer version \(cloud"):
        filled.get("train-2a2a2a")


def test_a_copied_record_under_another_id_is_refused(filled: RunStore) -> None:
    shutil.copytree(filled.folder("train-2a2a2a"), filled.folder("train-999999"))
    with pytest.raises(DamagedRecord, match="train-2a2a2a"):
        filled.get("train-999999")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("which layers should be removed, the pruning plan", "plan"),
        ("importance of layers", "analysis"),
        ("the smaller compressed model", "compression"),
        ("fine-tuning", "train"),
        ("压缩 更小的模型", "compression"),
        ("层的重要性分析", "analysis"),
        ("demo:movie", "evaluation"),
    ],
)
def test_search_finds_by_words_in_english_and_chinese(filled: RunStore, text: str, kind: str) -> None:
    assert filled.search(text)[0].run.kind == kind


def test_search_combines_meaning_and_fields(filled: RunStore) -> None:
    hits = filled.search("accuracy", data="demo:movie", kind="evaluation")
    assert [hit.run.id for hit in hits] == ["evaluation-6e6e6e"]
    assert filled.search("accuracy", data="demo:movie", kind="plan") == []
    scores = [hit.score for hit in filled.search("accuracy", limit=10)]
    assert len(scores) == 5
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1.0001 for score in scores)


def test_searching_for_nothing_is_wrong_use(filled: RunStore) -> None:
    with pytest.raises(UsageError, match="layerwise runs list"):
        filled.search("  ")


def test_searching_an_empty_home(store: RunStore) -> None:
    assert store.search("anything") == []


def garbage(index: Path) -> None:
    (index / "chroma" / "chroma.sqlite3").write_bytes(b"not a database " * 500)


def cut(index: Path) -> None:
    whole = (index / "chroma" / "chroma.sqlite3").read_bytes()
    (index / "chroma" / "chroma.sqlite3").write_bytes(whole[: len(whole) // 2])


def emptied(index: Path) -> None:
    (index / "chroma" / "chroma.sqlite3").write_bytes(b"")


def missing(index: Path) -> None:
    shutil.rmtree(index)


@pytest.mark.parametrize("damage", [garbage, cut, emptied, missing])
@pytest.mark.parametrize("in_use", [False, True], ids=["opened-later", "in-use"])
def test_a_damaged_index_is_built_again_with_a_notice(filled: RunStore, damage, in_use: bool) -> None:
    assert len(filled.search("anything")) == 5
    assert filled.notices == []
    damage(filled.home / "index")
    again = filled if in_use else reopened(filled)
    assert again.search("importance of layers")[0].run.kind == "analysis"
    if again.notices or not in_use:  # what is open may not need the file that was damaged
        assert "built again from 5 records" in again.notices[-1]
    later = reopened(filled)
    assert len(later.search("anything", limit=10)) == 5


@pytest.mark.parametrize("damage", [garbage, cut, emptied])
@pytest.mark.parametrize("in_use", [False, True], ids=["opened-later", "in-use"])
def test_a_damaged_catalogue_is_built_again_with_a_notice(filled: RunStore, damage, in_use: bool) -> None:
    before = filled.list()
    path = filled.home / "index" / "catalogue.sqlite3"
    (filled.home / "index" / "chroma").mkdir()
    path.rename(path.parent / "chroma" / "chroma.sqlite3")
    damage(filled.home / "index")
    (path.parent / "chroma" / "chroma.sqlite3").rename(path)
    again = filled if in_use else reopened(filled)
    assert again.list() == before
    if not in_use:
        assert "built again from 5 records" in again.notices[-1]
    assert reopened(filled).list() == before


def test_vectors_that_are_gone_are_noticed(filled: RunStore) -> None:
    assert len(filled.search("anything")) == 5
    [vectors] = [each for each in (filled.home / "index" / "chroma").iterdir() if each.is_dir()]
    shutil.rmtree(vectors)
    again = reopened(filled)
    assert len(again.search("anything")) == 5


def test_a_query_that_gives_less_than_there_is_builds_the_index_again(
    filled: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(filled.search("anything")) == 5
    real = Collection.query
    calls = []

    def without_vectors(self: Collection, **arguments):
        calls.append(arguments)
        found = real(self, **arguments)
        return (
            {**found, "ids": [found["ids"][0][:1]], "distances": [found["distances"][0][:1]]}
            if len(calls) < 3
            else found
        )

    monkeypatch.setattr(Collection, "query", without_vectors)
    assert len(filled.search("anything")) == 5
    assert "1 of 5 hits; built again from 5 records" in filled.notices[-1]


def test_records_that_came_or_went_without_the_index_are_noticed(filled: RunStore, tmp_path: Path) -> None:
    other = RunStore(tmp_path / "other", embedder_folder=None)
    other.save(plan_run(run_id="plan-777777", model="demo:smollm2"))
    shutil.copytree(other.folder("plan-777777"), filled.folder("plan-777777"))
    shutil.rmtree(filled.folder("train-2a2a2a"))
    again = reopened(filled)
    assert [hit.run.id for hit in again.search("plan", model="demo:smollm2")] == ["plan-777777"]
    assert "1 added or changed, 1 removed" in again.notices[0]
    assert "train-2a2a2a" not in [hit.run.id for hit in again.search("training", limit=10)]


def test_records_survive_a_catalogue_that_cannot_be_written(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Catalogue, "put", full)
        store.save(train_run())
    assert store.get("train-2a2a2a") == train_run()
    assert "disk is full); the records are whole" in store.notices[0]
    assert [run.id for run in store.list()] == ["train-2a2a2a"]


def test_reindex_counts_the_records(filled: RunStore) -> None:
    assert filled.reindex() == 5


def test_a_changed_embedder_indexes_again(filled: RunStore, tiny_encoder: Path) -> None:
    words = filled.search("importance of layers", limit=10)
    meaning = RunStore(filled.home, embedder_folder=tiny_encoder)
    hits = meaning.search("importance of layers", limit=10)
    assert len(hits) == 5
    assert "of another embedder; built again from 5 records" in meaning.notices[0]
    assert [hit.score for hit in hits] != [hit.score for hit in words]
    back = reopened(filled)
    assert [hit.score for hit in back.search("importance of layers", limit=10)] == [hit.score for hit in words]


def test_an_unusable_embedder_falls_back_to_words(filled: RunStore, tiny_encoder: Path) -> None:
    (tiny_encoder / "model.safetensors").write_bytes(b"half a file")
    broken = RunStore(filled.home, embedder_folder=tiny_encoder)
    assert broken.search("importance of layers")[0].run.kind == "analysis"
    assert "cannot be used" in broken.notices[0]


def test_delete_refuses_parents_unless_forced(filled: RunStore) -> None:
    with pytest.raises(UsageError, match=r"plan-4c4c4c.*--force"):
        filled.delete("analysis-3b3b3b")
    assert filled.get("analysis-3b3b3b")
    filled.delete("analysis-3b3b3b", force=True)
    with pytest.raises(UnknownRun):
        filled.get("analysis-3b3b3b")
    assert "analysis-3b3b3b" not in [hit.run.id for hit in filled.search("importance of layers", limit=10)]
    assert filled.notices == []
    with pytest.raises(UnknownRun):
        filled.delete("analysis-3b3b3b")


def test_a_damaged_run_can_be_deleted(filled: RunStore) -> None:
    (filled.folder("evaluation-6e6e6e") / "record.json").write_text("{")
    filled.delete("evaluation-6e6e6e")
    assert not filled.folder("evaluation-6e6e6e").exists()


def exported(store: RunStore, content: bytes = b"weights") -> Run:
    digest = hashlib.sha256(content).hexdigest()
    run = train_run(artifacts=[Artifact(path="model/model.safetensors", sha256=digest, bytes=len(content))])
    path = store.folder(run.id) / "model" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    store.save(run)
    return run


def test_export_holds_record_artifacts_and_right_checksums(store: RunStore, tmp_path: Path) -> None:
    run = exported(store)
    out = store.export(run.id, tmp_path / "out.zip")
    with zipfile.ZipFile(out) as archive:
        assert Run.model_validate_json(archive.read("record.json")) == run
        listed = dict(line.split("  ")[::-1] for line in archive.read("checksums.txt").decode().splitlines())
        assert set(listed) == {"record.json", "model/model.safetensors"}
        for name, digest in listed.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest
    with pytest.raises(UsageError, match="exists already"):
        store.export(run.id, out)


def test_export_refuses_what_is_not_what_was_recorded(store: RunStore, tmp_path: Path) -> None:
    run = exported(store)
    artifact = store.folder(run.id) / "model" / "model.safetensors"
    artifact.write_bytes(b"changed")
    with pytest.raises(DamagedRecord, match="SHA-256"):
        store.export(run.id, tmp_path / "out.zip")
    artifact.unlink()
    with pytest.raises(DamagedRecord, match="cannot be read"):
        store.export(run.id, tmp_path / "out.zip")
    assert list(tmp_path.glob("*out.zip*")) == []


def test_export_stays_inside_the_folder_of_the_run(store: RunStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    path = "../../../secret"
    store.save(train_run(artifacts=[Artifact(path=path, sha256="0" * 64, bytes=3)]))
    with pytest.raises(DamagedRecord, match="outside its own folder"):
        store.export("train-2a2a2a", tmp_path / "out.zip")


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match=r"cannot write .*record\.json: No space left on device"):
        store.save(train_run())
    monkeypatch.undo()
    assert store.list() == []
    assert list(store.folder("train-2a2a2a").iterdir()) == []


def save_many(home: Path, first: int) -> None:
    store = RunStore(home, embedder_folder=None)
    for number in range(first, first + 5):
        store.save(evaluation_run(run_id=f"evaluation-{number:06d}"))
    assert store.notices == []


def test_two_processes_lose_nothing_and_an_open_reader_sees_it(filled: RunStore) -> None:
    assert len(filled.search("anything", limit=100)) == 5
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=save_many, args=(filled.home, first)) for first in (100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(filled.search("anything", limit=100)) == 15
    assert filled.notices == []


def test_importing_and_reading_do_not_load_heavy_libraries(filled: RunStore) -> None:
    code = (
        "import sys; from pathlib import Path; from knowledge.runs import RunStore\n"
        f"store = RunStore(Path({str(filled.home)!r}), embedder_folder=None)\n"
        "assert len(store.list()) == 5 and store.get('train-2a2a2a')\n"
        "print([m for m in ('chromadb', 'torch', 'transformers', 'sklearn', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_compression_and_analysis_keep_their_types(filled: RunStore) -> None:
    assert type(filled.get("compression-5d5d5d").result) is type(compression_run().result)
    assert type(filled.get("analysis-3b3b3b").result) is type(analysis_run().result)
