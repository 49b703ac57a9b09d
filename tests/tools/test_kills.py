"""kill -9 at random moments of every workflow: what was acknowledged is there and whole, and the rest is taken up again."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from analyzers.records import Run
from tests.tools import killable
from tests.tools.conftest import workspace_in
from tools.recording import settle_all
from tools.workspace import Workspace

KILLS = {"train": 18, "analyze": 18, "plan": 18, "compress": 18, "evaluate": 10, "export": 10, "report": 8}


class Victims:
    """Starts processes that do workflows, to be killed."""

    def __init__(self, folder: Path, forks: ForkServerContext) -> None:
        self.folder, self.workspace, self.forks = folder, workspace_in(folder), forks
        self.model, self.data = killable.write_model_and_data(folder)

    @contextmanager
    def at_work(self, made: dict[str, str], verbs: Sequence[str]) -> Iterator[Connection]:
        """A process that does these one after the other, until it is killed at the end."""
        heard, said = self.forks.Pipe(duplex=False)
        words = (str(self.folder), self.model, self.data, made, verbs, said)
        process = self.forks.Process(target=killable.work, args=words)
        process.start()
        said.close()
        try:
            assert heard.recv() == ("begun", "")
            yield heard
        finally:
            process.kill()
            process.join()


def test_nothing_is_lost_by_a_hundred_kills(
    forks: ForkServerContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, victims = random.Random(20261125), Victims(tmp_path, forks)
    made, seconds = undisturbed(victims)
    acknowledged = list(made.items())
    for verb, kills in KILLS.items():
        for _ in range(kills):
            with victims.at_work(dict(made), [verb] * 20) as heard:
                time.sleep(dice.uniform(0, 1.2 * seconds[verb]))
            acknowledged += said(heard)
            settle_all(victims.workspace)
            check(victims.workspace)
        with victims.at_work(dict(made), [verb]) as heard:  # what the last one left is taken up
            again = heard.recv()
        acknowledged.append(again)
        assert quality(victims.workspace, again) == quality(victims.workspace, (verb, made[verb]))
    lost = [name for verb, name in acknowledged if not kept(victims.workspace, verb, name)]
    with capsys.disabled():
        print(f"\n{sum(KILLS.values())} kills: {len(acknowledged)} results acknowledged, {len(lost)} lost")
    assert not lost


def undisturbed(victims: Victims) -> tuple[dict[str, str], dict[str, float]]:
    """What each workflow made, and how long it took."""
    made, seconds = {}, {}
    with victims.at_work({}, killable.ORDER) as heard:
        for verb in killable.ORDER:
            begin = time.monotonic()
            made[verb] = heard.recv()[1]
            seconds[verb] = time.monotonic() - begin
    return made, seconds


def said(heard: Connection) -> Iterator[tuple[str, str]]:
    """What it said before it was killed."""
    try:
        while heard.poll():
            yield heard.recv()
    except EOFError:
        return


def check(workspace: Workspace) -> None:
    """No run is shown as what it is not."""
    for run in workspace.runs.list():
        assert run.status in ("done", "failed"), run.id
        assert run.status != "done" or whole(workspace, run), f"{run.id} is half-written and shown as done"


def whole(workspace: Workspace, run: Run) -> bool:
    folder = workspace.runs.folder(run.id)
    files = {artifact.path: artifact.sha256 for artifact in run.artifacts}
    return run.result is not None and all(
        sha256((folder / path).read_bytes()).hexdigest() == digest for path, digest in files.items()
    )


def kept(workspace: Workspace, verb: str, name: str) -> bool:
    if verb == "report":
        return "</html>" in Path(name).read_text(encoding="utf-8")[-20:]
    run = workspace.runs.get(name)
    return run.status == "done" and whole(workspace, run)


def quality(workspace: Workspace, acknowledged: tuple[str, str]) -> list[tuple[str, str, str | None, float]]:
    """What a run measured that does not depend on the clock."""
    verb, name = acknowledged
    if verb == "report":
        return []
    return [
        (each.name, each.subject, each.split, each.value)
        for each in workspace.runs.get(name).measurements
        if each.name in ("accuracy", "loss", "parameters")
    ]
