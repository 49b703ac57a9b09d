import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

gc.disable()  # while everything is imported, which is kept: a quarter of that time would go into looking through it


def pytest_collection_finish() -> None:
    """What was imported is not looked through again."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before the hook in which xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a worker takes as one piece: a file, or all tests that look at the one chain of runs or kill forks, so that one worker makes both.

    The longest pieces come first, the `real` ones, then the chain, the cluster and the browser: no worker is then left
    waiting for one at the end.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(
        key=lambda item: (
            item.get_closest_marker("real") is None,
            not _uses(item, "chain", "forks", "cluster", "browser"),
        )
    )


def _group(item: pytest.Item) -> str:
    if _uses(item, "cluster"):  # one Ray cluster, not one for each file
        return "cluster"
    return "chain" if _uses(item, "chain", "forks") else str(item.path)


def _uses(item: pytest.Item, *fixtures: str) -> bool:
    return not set(fixtures).isdisjoint(getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home and a cache of its own for each test, no language model, and an end to what a command sets for libraries."""
    monkeypatch.setenv("LAYERWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LAYERWISE_OLLAMA_BASE_URL", "http://127.0.0.1:9")  # that of the developer has models of its own
    variables, level = dict(os.environ), logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Where the `real` tests keep the demo models and data: fetched once a session, never taken from the user's cache."""
    own = tmp_path_factory.getbasetemp()
    return (own if worker_id == "master" else own.parent) / "real-cache"
