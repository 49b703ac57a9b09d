"""A disk that is full or closed, told in one message. Imports no torch: the list of jobs needs it too."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from analyzers.errors import StorageError


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full or closed disk into one message.

    Raises:
        StorageError: in the place of the OSError of a full, read-only or forbidden file system.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
        closed = getattr(error, "errno", None) in (errno.EROFS, errno.EACCES, errno.EPERM)
        if not full and not closed:
            raise
        what = "the disk is full" if full else "the folder is not writable"
        raise StorageError(
            f"{what}: {path} was not saved; make room or choose another place with --home; finished runs are kept"
        ) from error
