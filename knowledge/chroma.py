"""Where the vectors lie: a folder of this home, or a Chroma server."""

import platform
import secrets
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import chromadb
import httpx
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from analyzers.errors import StorageError, UsageError
from knowledge.files import write_whole

TIMEOUT = 60.0  # seconds that a server may be silent


class Lost(Exception):
    """What was indexed is not there, or cannot be read: it has to be built again."""


class Place(Protocol):
    """Opens the Chroma client, and says what its failures mean."""

    name: str  # of what is written there, apart from other places

    def collection(self, embedder: str) -> str: ...
    def open(self) -> Any: ...
    def mark(self) -> object:
        """Changes when what lay there was removed under our feet."""

    def clear(self, client: Any, names: list[str]) -> None: ...
    def failed(self, problem: Exception) -> Exception: ...


class Folder:
    """Chroma inside this process, in one folder."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    def collection(self, embedder: str) -> str:
        return f"runs-{embedder}"

    def open(self) -> Any:
        # Chroma shares its clients within a process, by path: one of our own sees what other processes wrote.
        SharedSystemClient.clear_system_cache()
        try:
            return chromadb.PersistentClient(str(self.folder), settings=Settings(anonymized_telemetry=False))
        finally:
            SharedSystemClient.clear_system_cache()

    def mark(self) -> object:
        try:
            found = (self.folder / "chroma.sqlite3").stat()
        except OSError:
            return None
        return found.st_ino

    def clear(self, client: Any, names: list[str]) -> None:  # noqa: ARG002 (a damaged folder opens no client)
        shutil.rmtree(self.folder, ignore_errors=True)

    def failed(self, problem: Exception) -> Exception:
        return Lost(f"the search index in {self.folder} failed: {problem}")

    def copy(self) -> Path:
        """Go on with a copy that goes with the process: the home cannot be written."""
        self._copy = tempfile.TemporaryDirectory(prefix="layerwise-index-")
        copied = Path(self._copy.name) / "chroma"
        if self.folder.is_dir():
            shutil.copytree(self.folder, copied)
        self.folder = copied
        return copied


class Server:
    """Chroma in a process of its own, for several homes and machines. A home keeps a name for itself in its file `id`.

    Raises:
        UsageError: the address is none.
    """

    def __init__(self, url: str, home: Path) -> None:
        self.url = url.rstrip("/")
        self.name = f"server {self.url}"
        self._home = home
        self._close: Callable[[], object] = lambda: None  # the connections of the client that is open
        try:
            self._parts = urlsplit(self.url)
            self._port = self._parts.port or (443 if self._parts.scheme == "https" else 8000)
        except ValueError:
            self._parts = urlsplit("")
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname or self._parts.path:
            raise UsageError(
                f"LAYERWISE_CHROMA_URL={url!r} is no address of a Chroma server; such as http://127.0.0.1:8000"
            )

    def collection(self, embedder: str) -> str:
        path = self._home / "id"
        if not path.is_file():
            write_whole(path, f"{platform.node() or 'home'}-{secrets.token_hex(6)}\n".encode())
        own = "".join(each if each.isalnum() and each.isascii() else "-" for each in path.read_text().strip())
        return f"runs-{own}-{embedder}"

    def open(self) -> Any:
        self._close()
        client: Any = chromadb.HttpClient(
            host=str(self._parts.hostname),
            port=self._port,
            ssl=self._parts.scheme == "https",
            settings=Settings(anonymized_telemetry=False),
        )
        client._server._session.timeout = TIMEOUT  # Chroma would wait for ever, and has no setting for it
        self._close = weakref.finalize(self, hang_up, client)
        return client

    def mark(self) -> object:
        return None  # a server that lost a collection says so

    def clear(self, client: Any, names: list[str]) -> None:
        for name in names:
            client.delete_collection(name)

    def failed(self, problem: Exception) -> Exception:
        if isinstance(problem, NotFoundError):
            return Lost(f"the Chroma server at {self.url} has lost the index")
        return StorageError(
            f"the Chroma server at {self.url} cannot be used ({problem}); start it (chroma run --path FOLDER), or unset "
            "LAYERWISE_CHROMA_URL to search with an index inside the home. The runs themselves are not concerned: "
            "layerwise runs list"
        )


def hang_up(client: Any) -> None:
    """End the connections of an HTTP client: those that Chroma leaves open in its own `close`, and of its second session."""
    client._server._session.close()
    client._admin_client._server._session.close()
    client.close()


FAILURES = (ChromaError, ValueError, RuntimeError, OSError, sqlite3.Error, httpx.HTTPError)
