"""What a visitor chose for the page, kept in the home."""

import json
import threading

from knowledge.files import write_whole
from tools.workspace import Workspace


class Preferences:
    """The choices of all visitors of a home.

    Args:
        workspace: where they are kept.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._file = workspace.sessions / "preferences.json"
        self._lock = threading.Lock()

    def llm(self, visitor: str) -> str | None:
        """The language model that the visitor chose; None: that of the server."""
        return self._read().get(visitor, {}).get("llm")

    def choose_llm(self, visitor: str, llm: str | None) -> None:
        """Remember it; the next message goes to it.

        Raises:
            StorageError: the disk is full or not writable.
        """
        with self._lock:
            known = self._read()
            known[visitor] = {**known.get(visitor, {}), "llm": llm}
            write_whole(self._file, json.dumps(known, ensure_ascii=False, indent=1).encode())

    def _read(self) -> dict[str, dict[str, str | None]]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet, or spoilt: the choices can be made again
            return {}
        return found if isinstance(found, dict) else {}
