"""Pieces of a long computation, kept as they are finished, so that what was killed goes on where it was."""

import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np


class Journal:
    """A folder of named pieces, each a few arrays in one file that is whole or not there.

    Without a folder nothing is kept: for computations that nobody will take up.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def part(self, name: str) -> "Journal":
        """A journal of its own within this one, forgotten with it."""
        return Journal(self.folder / name if self.folder else None)

    def only_for(self, fingerprint: str) -> None:
        """Forget the pieces of another computation; `fingerprint` tells what they depend on."""
        kept = self.find("only-for")
        if kept is None or str(kept["fingerprint"]) != fingerprint:
            if self.folder is not None:
                shutil.rmtree(self.folder, ignore_errors=True)
            self.keep("only-for", fingerprint=np.array(fingerprint))

    def keep(self, name: str, **arrays: np.ndarray) -> None:
        """Keep a finished piece.

        Raises:
            OSError: the disk is full or not writable; no piece of that name is left half-written.
        """
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f".{name}.partial"
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.folder / f"{name}.npz")
        finally:
            partial.unlink(missing_ok=True)

    def find(self, name: str) -> dict[str, np.ndarray] | None:
        """A piece that was kept, or None. A file that cannot be read was damaged from outside and counts as not there."""
        if self.folder is None:
            return None
        try:
            with (self.folder / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        except (FileNotFoundError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return None

    def names(self, start: str) -> Iterator[str]:
        """The pieces whose names begin so, in alphabetical order."""
        if self.folder is not None:
            yield from sorted(path.stem for path in self.folder.glob(f"{start}*.npz"))
