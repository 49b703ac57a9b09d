"""An archive comes back as it was, or not at all."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from analyzers.errors import DamagedRecord, UsageError
from analyzers.records import Artifact, Run
from knowledge.runs import RunStore
from tests.sample_runs import train_run

Files = dict[str, bytes]
WEIGHTS = b"weights" * 100


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Run, Path]:
    store = RunStore(tmp_path / "from", embedder_folder=None)
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    run = train_run(artifacts=[Artifact(path="model/model.safetensors", sha256=digest, bytes=len(WEIGHTS))])
    path = store.folder(run.id) / "model" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(WEIGHTS)
    store.save(run)
    store.tag(run.id, ["kept"])
    return run, store.export(run.id, tmp_path / "run.zip")


@pytest.fixture
def target(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "to", embedder_folder=None)


def left(store: RunStore) -> list[Path]:
    return list((store.home / "runs").rglob("*")) if (store.home / "runs").exists() else []


def test_a_run_comes_back_whole(packed: tuple[Run, Path], target: RunStore) -> None:
    run, path = packed
    assert target.import_archive(path) == run
    assert [each.id for each in target.list(tags=["kept"])] == [run.id]
    assert (target.folder(run.id) / "model" / "model.safetensors").read_bytes() == WEIGHTS
    assert sorted(each.name for each in (target.home / "runs").iterdir()) == [run.id]
    assert target.notices == []
    with pytest.raises(UsageError, match="is there already; nothing was imported"):
        target.import_archive(path)


def test_any_flipped_byte_of_the_contents_is_refused(packed: tuple[Run, Path], target: RunStore) -> None:
    _, path = packed
    whole = path.read_bytes()
    for place in (whole.index(b"weights"), whole.index(b'"kind"'), whole.index(b"  record.json")):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedRecord, match="Nothing was imported"):
            target.import_archive(path)
        assert left(target) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_an_archive_that_was_cut_is_refused(packed: tuple[Run, Path], target: RunStore, share: float) -> None:
    _, path = packed
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DamagedRecord, match="damaged"):
        target.import_archive(path)
    assert left(target) == []


def summed(files: Files) -> Files:
    lines = [
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items() if name != "checksums.txt"
    ]
    return {**files, "checksums.txt": "".join(lines).encode()}


def changed_record(files: Files, **changes: object) -> Files:
    return summed({**files, "record.json": json.dumps({**json.loads(files["record.json"]), **changes}).encode()})


BAD: dict[str, tuple[Callable[[Files], Files], str]] = {
    "a file is missing": (lambda files: {n: c for n, c in files.items() if "model" not in n}, "checksums.txt"),
    "a file too many": (lambda files: {**files, "extra": b"x"}, "extra"),
    "a file the record does not name": (lambda files: summed({**files, "extra": b"x"}), "differ in extra"),
    "outside": (lambda files: summed({**files, "../outside": b"x"}), "no file inside"),
    "absolute": (lambda files: summed({**files, "/tmp/outside": b"x"}), "no file inside"),
    "backslash": (lambda files: summed({**files, "..\\outside": b"x"}), "no file inside"),
    "a newer version": (lambda files: changed_record(files, cloud="yes"), "newer version"),
    "an id that is a path": (lambda files: changed_record(files, id="../train-2a2a2a"), "which is none"),
    "no checksums": (lambda files: {n: c for n, c in files.items() if n != "checksums.txt"}, "no checksums.txt"),
    "no record": (lambda files: {n: c for n, c in files.items() if n != "record.json"}, "no record.json"),
    "labels of a newer version": (lambda files: summed({**files, "labels.json": b'{"cloud": 1}'}), "labels"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_not_an_export_is_refused_and_leaves_nothing(
    packed: tuple[Run, Path], target: RunStore, tmp_path: Path, bad: str
) -> None:
    change, says = BAD[bad]
    with zipfile.ZipFile(packed[1]) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in change(files).items():
            archive.writestr(name, content)
    with pytest.raises(DamagedRecord, match=says):
        target.import_archive(path)
    assert left(target) == []
    assert not (tmp_path / "to" / "outside").exists()


def test_there_is_no_such_file(target: RunStore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        target.import_archive(tmp_path / "nothing.zip")


def test_what_a_killed_import_left_is_removed(packed: tuple[Run, Path], target: RunStore) -> None:
    half = target.home / "runs" / ".importing-train-2a2a2a" / "train-2a2a2a"
    half.mkdir(parents=True)
    (half / "record.json").write_text("{")
    assert target.list() == []
    target.import_archive(packed[1])
    assert sorted(each.name for each in (target.home / "runs").iterdir()) == ["train-2a2a2a"]
