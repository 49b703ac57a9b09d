"""Files of data that are sent to the page: looked into, read, and only then kept."""

import hashlib
import re
import shutil
from pathlib import Path

from agent.ui.page import Page
from agent.ui.reach import FILES
from analyzers.datasets.preview import Preview, preview
from analyzers.errors import LayerwiseError, UsageError
from analyzers.references import with_columns
from knowledge.files import whole

LARGEST = 500_000_000  # bytes of a file that is sent; a larger one is named by its path
_SIGNS = {
    b"PAR1": "a Parquet file",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "compressed by gzip",
    b"%PDF": "a PDF",
}


def take_in(sent: Path, page: Page, text: str = "", label: str = "") -> Preview:
    """Keep a file that was sent to the page, once it was read; its preview names the reference.

    Raises:
        UsageError: its name ends in nothing that can be read, it is too large, or it is not what its name says.
        DataError, UnknownColumn, NoLabels: as for `datasets.load`; nothing is kept.
        StorageError: the disk is full or not writable.
    """
    kind = sent.suffix.lower().lstrip(".")
    if kind not in FILES:
        raise UsageError(f"{sent.name} is no data file: send one that ends in .csv, .jsonl or .parquet")
    size = sent.stat().st_size
    if size > LARGEST:
        raise UsageError(
            f"{sent.name} has {size / 1e6:,.0f} MB and at most {LARGEST / 1e6:,.0f} are taken; put it where the server runs "
            f"and name it there: {kind}:PATH"
        )
    _look(sent, kind)
    kept = page.workspace.home / "data" / f"{_plain(sent.stem)}-{_digest(sent)}.{kind}"
    if kept.exists():
        return preview(with_columns(f"{kind}:{kept}", text, label), page.workspace.cache)
    try:
        found = preview(with_columns(f"{kind}:{sent}", text, label), page.workspace.cache)
    except LayerwiseError as problem:
        raise type(problem)(
            str(problem).replace(str(sent), sent.name)
        ) from None  # where it lay for a moment tells nothing
    with whole(kept) as temporary:
        shutil.copyfile(sent, temporary)
    return found.model_copy(update={"data": with_columns(f"{kind}:{kept}", text, label)})


def _look(sent: Path, kind: str) -> None:
    with sent.open("rb") as file:
        head = file.read(1 << 16)
    if not head:
        raise UsageError(f"{sent.name} is empty; send a file with at least a few dozen rows")
    is_a = next((what for sign, what in _SIGNS.items() if head.startswith(sign)), "")
    if kind != "parquet" and (is_a or b"\0" in head):
        raise UsageError(
            f"{sent.name} is not {kind.upper()} by its content but {is_a or 'binary'}; send it as what it is"
        )
    if kind == "parquet" and is_a != "a Parquet file":
        raise UsageError(f"{sent.name} is not Parquet by its content{f' but {is_a}' if is_a else ''}; write it again")


def _plain(name: str) -> str:
    """A name for a file that is nothing else: no way out of the folder, no hidden file."""
    return re.sub(r"[^\w-]+", "_", name).strip("_")[:60] or "data"


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]
