import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from knowledge.runs import RunStore
from tests import fake_jobs
from tools.jobs import JobStore, processes


@pytest.fixture
def job_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobStore]:
    """Jobs of this test run fake workflows; none of their processes is left behind."""
    monkeypatch.setattr(processes, "COMMAND", fake_jobs.COMMAND)
    monkeypatch.setattr(RunStore, "_index", fake_jobs.NO_INDEX)
    store = JobStore(tmp_path / "home")
    yield store
    for job in store.list("queued"):
        store.change(job.id, ("queued",), status="cancelled")
    for each in [each for job in store.list("running") for each in (job.worker, job.supervisor) if each]:
        if each.pid != os.getpid():
            processes.stop(each, asked=0)
    for started in processes._started:
        with suppress(TimeoutExpired):
            started.wait(5)
