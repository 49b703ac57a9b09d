import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a worker takes as one piece: a file, or all tests that look at the one chain of runs, so that one worker makes it.

    The chain is the longest piece and comes first: the other worker is then not left waiting for it at the end.
    """
    for item in items:
        looks = "chain" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("chain" if looks else str(item.path)))
    items.sort(key=lambda item: "chain" not in getattr(item, "fixturenames", ()))


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home and a cache of its own for each test, and an end to what a command sets for libraries."""
    monkeypatch.setenv("LAYERWISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAYERWISE_CACHE", str(tmp_path / "cache"))
    variables, level = dict(os.environ), logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    os.environ.update(variables)


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the `real` tests keep the demo models and data: fetched once a session, never taken from the user's cache."""
    return tmp_path_factory.getbasetemp() / "real-cache"
