"""One run as one zip file that can be checked anywhere with `sha256sum -c checksums.txt`, and its way back.

The checksums say that a file is what was packed, not who packed it.
"""

import hashlib
import json
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from analyzers.errors import DamagedRecord, StorageError, UsageError
from analyzers.records import Run
from knowledge import labels
from knowledge.disk import COMING, RUN_ID
from knowledge.files import whole
from knowledge.record_file import parsed, validated

CHUNK = 1 << 20
RECORD, SUMS = "record.json", "checksums.txt"


def pack(run: Run, folder: Path, path: Path) -> Path:
    """Write record.json, labels.json if there is one, every artifact and checksums.txt to the zip file `path`.

    Raises:
        UsageError: the file exists.
        DamagedRecord: an artifact is missing, outside the folder, or not what was recorded.
        StorageError: the file cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path} exists already; name a file that does not, or remove it first")
    sums = {RECORD: _sha256_of(folder / RECORD, run)}
    if (folder / labels.FILE).is_file():
        sums[labels.FILE] = _sha256_of(folder / labels.FILE, run)
    for artifact in run.artifacts:
        found = _sha256_of(_inside(folder, artifact.path, run), run)
        if found != artifact.sha256:
            raise DamagedRecord(f"{artifact.path} of {run.id} is not what was recorded (its SHA-256 differs)")
        sums[artifact.path] = found
    manifest = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:  # stored: weights do not compress
        for name in sums:
            archive.write(folder / name, name)
        archive.writestr(SUMS, manifest)
    return path


@contextmanager
def unpack(path: Path, runs: Path) -> Iterator[tuple[Run, Path]]:
    """The run in an archive and a folder inside `runs` that holds its files, checked, for the caller to rename.

    Nothing is left of it when the body or the check fails.

    Raises:
        UsageError: there is no such file, or a run of that id is there already.
        DamagedRecord: the archive is damaged, of a newer version, or holds what its record does not name.
        StorageError: the disk is full or not writable.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}; make one with: layerwise runs export ID FILE")
    try:
        with zipfile.ZipFile(path) as archive:
            sums = _sums(archive, path)
            run_id = _id(archive, path)
            if (runs / run_id).exists():
                raise UsageError(
                    f"{run_id} is there already; nothing was imported. Look at it: layerwise runs show {run_id}"
                )
            folder = (
                runs / f"{COMING}{run_id}" / run_id
            )  # its name is that of the run: the record is checked against it
            try:
                _extract(archive, sums, folder, path)
                run = _checked(folder, sums, path)
                yield run, folder
            finally:
                shutil.rmtree(folder.parent, ignore_errors=True)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError, zlib.error) as problem:
        raise _damaged(path, str(problem)) from problem  # cut, flipped, of an unknown compression, or encrypted


def _sums(archive: zipfile.ZipFile, path: Path) -> dict[str, str]:
    """The checksum of each file; they are exactly those that the archive holds."""
    names = [member.filename for member in archive.infolist()]
    if SUMS not in names or RECORD not in names:
        raise _damaged(path, f"it holds no {SUMS if SUMS not in names else RECORD}; is it an export of a run?")
    for member in archive.infolist():
        _plain(member, path)
    sums: dict[str, str] = {}
    for line in archive.read(SUMS).decode().splitlines():
        digest, _, name = line.partition("  ")
        sums[name] = digest
    if sorted(names) != sorted([*sums, SUMS]):
        odd = sorted(set(names) ^ {*sums, SUMS}) or sorted(name for name in names if names.count(name) > 1)
        raise _damaged(path, f"its files are not those of its {SUMS}: {', '.join(odd[:3])}")
    return sums


def _plain(member: zipfile.ZipInfo, path: Path) -> None:
    """Refuse what would be written elsewhere than into the folder, and what is no file."""
    name = PurePosixPath(member.filename)
    odd = name.is_absolute() or ".." in name.parts or "\\" in member.filename or ":" in member.filename
    kind = stat.S_IFMT(member.external_attr >> 16)
    if odd or str(name) != member.filename or member.is_dir() or kind not in (0, stat.S_IFREG):
        raise _damaged(path, f"it names {member.filename!r}, which is no file inside the run")


def _id(archive: zipfile.ZipFile, path: Path) -> str:
    """What the record calls itself; what else it says is looked at when its checksum is known to be right."""
    try:
        found = json.loads(archive.read(RECORD)).get("id")
    except (ValueError, AttributeError) as problem:
        raise _damaged(path, f"its {RECORD} cannot be read: {problem}") from None
    if not isinstance(found, str) or not RUN_ID.fullmatch(found):
        raise _damaged(path, f"its record has the id {found!r}, which is none")
    return found


def _extract(archive: zipfile.ZipFile, sums: dict[str, str], folder: Path, path: Path) -> None:
    needed = sum(member.file_size for member in archive.infolist())
    try:
        folder.mkdir(parents=True)
        if needed > (free := shutil.disk_usage(folder).free):
            raise StorageError(
                f"{path} needs {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free; nothing was imported"
            )
        for name, digest in sums.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, target.open("wb") as out:
                found = _sha256(source, out)
            if found != digest:
                raise _damaged(path, f"{name} is not what was packed (its SHA-256 differs)")
    except OSError as problem:
        raise StorageError(f"cannot write {folder}: {problem.strerror or problem}; nothing was imported") from problem


def _checked(folder: Path, sums: dict[str, str], path: Path) -> Run:
    """The run, whose record names exactly the files that came with it."""
    try:
        run = validated(parsed(folder / RECORD), folder / RECORD)
        labels.read(folder)
    except DamagedRecord as problem:
        raise _damaged(path, str(problem).partition("; update")[0]) from None
    named = {artifact.path: artifact.sha256 for artifact in run.artifacts}
    packed = {name: digest for name, digest in sums.items() if name not in (RECORD, labels.FILE)}
    if named != packed:
        odd = sorted(name for name in named.keys() | packed.keys() if named.get(name) != packed.get(name))
        raise _damaged(path, f"its record and its files differ in {', '.join(odd[:3])}")
    return run


def _damaged(path: Path, why: str) -> DamagedRecord:
    return DamagedRecord(f"{path} is damaged or of a newer version: {why}. Nothing was imported; export the run again")


def _inside(folder: Path, name: str, run: Run) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DamagedRecord(f"the record of {run.id} names the artifact {name!r} outside its own folder")
    return path


def _sha256_of(path: Path, run: Run) -> str:
    try:
        with path.open("rb") as file:
            return _sha256(file)
    except OSError as problem:
        raise DamagedRecord(f"{path.name} of {run.id} cannot be read: {problem.strerror}; make the run again") from None


def _sha256(source: IO[bytes], out: IO[bytes] | None = None) -> str:
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        if out:
            out.write(chunk)
    return digest.hexdigest()
