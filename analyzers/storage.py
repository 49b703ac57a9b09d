"""A disk that is full or closed, told in one message, and folders for what is not whole yet. Imports no torch: the list of jobs needs it too."""

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from analyzers.errors import StorageError

_PREFIX = ".saving-"
_LOCK = ".lock"  # in such a folder, held as long as somebody writes there


@contextmanager
def storage_errors(path: Path, option: str = "--home") -> Iterator[None]:
    """Turn a full or closed disk into one message.

    Args:
        path: what is written.
        option: with which a person chooses another place.

    Raises:
        StorageError: in the place of the OSError of a full, read-only or forbidden file system, or of a file that grows too large.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        number, text = getattr(error, "errno", None), str(error)
        full = number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text
        large = number == errno.EFBIG or "File too large" in text
        if (
            not full
            and not large
            and number not in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
        ):
            raise
        what = (
            "the disk is full" if full else "a file may not be so large here" if large else "the folder is not writable"
        )
        advice = f"{'make room or ' if full else ''}choose another place with {option}"
        raise StorageError(f"{what}: {path} was not saved; {advice}; finished runs are kept") from error


@contextmanager
def unfinished_beside(folder: Path, option: str = "--home") -> Iterator[Path]:
    """A folder beside a final one, for what is not yet known to be whole. What killed processes left there is removed.

    Raises:
        StorageError: as `storage_errors`.
    """
    with storage_errors(folder, option):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent)
        with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=folder.parent) as name, FileLock(Path(name, _LOCK)):
            yield Path(name)


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*"):
        if (left / _LOCK).exists():
            try:
                with FileLock(left / _LOCK, timeout=0):
                    pass
            except (Timeout, OSError):  # somebody writes there, or it is of another user
                continue
            shutil.rmtree(left, ignore_errors=True)
