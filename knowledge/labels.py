"""What a person says about a run: tags, notes, and whether it is kept safe from deletion.

It lies in `labels.json` beside the record: what was measured is never edited. No file means no labels.
"""

import json
import re
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from analyzers.errors import DamagedRecord, UsageError
from analyzers.records import Record
from knowledge.files import write_whole

FILE = "labels.json"
_TAG = re.compile(r"[^\W_][\w.+-]{0,39}")


class Remark(Record):
    created: datetime
    text: str


class Labels(Record):
    tags: tuple[str, ...] = ()
    notes: tuple[Remark, ...] = ()
    pinned: bool = False


def tag(text: str) -> str:
    """A tag as it is kept: lower case.

    Raises:
        UsageError: it cannot be one.
    """
    found = text.strip().lower()
    if not _TAG.fullmatch(found):
        raise UsageError(
            f"{text!r} cannot be a tag; it is one word of at most 40 letters, digits and .+-_ (any script): baseline, v2.1"
        )
    return found


def read(folder: Path) -> Labels:
    """The labels of the run in that folder.

    Raises:
        DamagedRecord: the file is not readable, or of a newer version.
    """
    path = folder / FILE
    try:
        return Labels.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return Labels()
    except (OSError, ValueError) as problem:
        what = problem.errors()[0]["msg"] if isinstance(problem, ValidationError) else str(problem)
        raise DamagedRecord(
            f"the labels of {folder.name} in {path} are damaged or of a newer version ({what}); update Layerwise, or "
            "remove that file: the run itself is not concerned"
        ) from None


def write(folder: Path, labels: Labels) -> None:
    """Replace the labels, atomically; no file is kept for none.

    Raises:
        StorageError: the disk is full or not writable.
    """
    if labels == Labels():
        (folder / FILE).unlink(missing_ok=True)
    else:
        write_whole(folder / FILE, (labels.model_dump_json(indent=1) + "\n").encode())
