"""Files that are there whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from analyzers.errors import StorageError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what the body writes there is moved to `path` when it ends without an error.

    Raises:
        StorageError: the disk is full or not writable.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise StorageError(f"cannot write {path}: {reason}; free some space or choose another place") from problem
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file with the content, atomically.

    Raises:
        StorageError: the disk is full or not writable.
    """
    with whole(path) as temporary:
        temporary.write_bytes(content)
