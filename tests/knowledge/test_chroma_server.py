"""The search index on a Chroma server: a real one, on loopback."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import chromadb
import pytest
from chromadb.config import Settings

from analyzers.errors import StorageError, UsageError
from knowledge.chroma import hang_up
from knowledge.runs import RunStore
from tests.sample_runs import evaluation_run, story


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("chroma")),
        "run",
        "--path",
        str(tmp_path / "server"),
        "--port",
        str(port),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def store_at(home: Path, url: str) -> RunStore:
    return RunStore(home, embedder_folder=None, chroma_url=url)


def test_two_homes_share_a_server_that_loses_an_index_and_goes_away(
    server: tuple[str, subprocess.Popen], tmp_path: Path
) -> None:
    url, process = server
    store, other = store_at(tmp_path / "home", url), store_at(tmp_path / "other", url)
    for run in story():
        store.save(run)
    other.save(evaluation_run())
    assert store.search("importance of layers")[0].run.kind == "analysis"
    assert [hit.run.kind for hit in other.search("anything", limit=10)] == ["evaluation"]
    assert len(store.search("anything", limit=10)) == 4
    assert [hit.run.kind for hit in store.search("anything", kind="plan")] == ["plan"]
    assert not (tmp_path / "home" / "index" / "chroma").exists()
    assert store.notices == []

    client = chromadb.HttpClient(
        host="127.0.0.1", port=int(url.rsplit(":", 1)[1]), settings=Settings(anonymized_telemetry=False)
    )
    for collection in client.list_collections():
        client.delete_collection(collection.name)
    hang_up(client)
    assert len(store.search("anything", limit=10)) == 4
    assert "built again from 4 records" in store.notices[-1]

    process.kill()
    process.wait()
    for searching in (store, store_at(tmp_path / "home", url)):
        with pytest.raises(StorageError, match=r"Chroma server at http.*chroma run.*layerwise runs list"):
            searching.search("anything")
        assert len(searching.list()) == 4
    store.save(evaluation_run())
    assert store.get("evaluation-6e6e6e") == evaluation_run()
    inside = RunStore(tmp_path / "home", embedder_folder=None)
    assert len(inside.search("anything", limit=10)) == 5, "without the server the home has an index of its own"


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8000", "http://", "http://x:port", "http://x/path"])
def test_what_is_no_address(tmp_path: Path, url: str) -> None:
    store = store_at(tmp_path, url)
    store.save(evaluation_run())
    with pytest.raises(UsageError, match="LAYERWISE_CHROMA_URL"):
        store.search("anything")
