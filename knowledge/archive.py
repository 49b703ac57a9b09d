"""One run as one zip file that can be checked anywhere with `sha256sum -c checksums.txt`."""

import hashlib
import zipfile
from pathlib import Path

from analyzers.errors import DamagedRecord, UsageError
from analyzers.records import Run
from knowledge.files import whole

CHUNK = 1 << 20


def pack(run: Run, folder: Path, path: Path) -> Path:
    """Write record.json, every artifact and checksums.txt to the zip file `path`.

    Raises:
        UsageError: the file exists.
        DamagedRecord: an artifact is missing, outside the folder, or not what was recorded.
        StorageError: the file cannot be written.
    """
    if path.exists():
        raise UsageError(f"{path} exists already; name a file that does not, or remove it first")
    sums = {"record.json": _sha256(folder / "record.json", run)}
    for artifact in run.artifacts:
        found = _sha256(_inside(folder, artifact.path, run), run)
        if found != artifact.sha256:
            raise DamagedRecord(f"{artifact.path} of {run.id} is not what was recorded (its SHA-256 differs)")
        sums[artifact.path] = found
    manifest = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:  # stored: weights do not compress
        for name in sums:
            archive.write(folder / name, name)
        archive.writestr("checksums.txt", manifest)
    return path


def _inside(folder: Path, name: str, run: Run) -> Path:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DamagedRecord(f"the record of {run.id} names the artifact {name!r} outside its own folder")
    return path


def _sha256(path: Path, run: Run) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except OSError as problem:
        raise DamagedRecord(f"{path.name} of {run.id} cannot be read: {problem.strerror}; make the run again") from None
    return digest.hexdigest()
