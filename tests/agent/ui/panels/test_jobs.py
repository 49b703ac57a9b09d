"""The tab of the jobs sends what changed, and nothing else."""

from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from agent.settings import Settings
from agent.ui.page import Page
from agent.ui.panels.jobs import _Panel
from analyzers.records import TrainRequest, now
from tests.fake_workflows import no_index
from tests.sample_runs import train_run
from tools.jobs import Job, JobStore, processes
from tools.jobs.records import Step

__all__ = ["no_index"]


def sent(panel: _Panel, seen: dict[str, str]) -> tuple[dict[str, str], set[int]]:
    """What the page shows then, and the places of what was sent."""
    now_seen, *rest = panel.look("job-1", seen)
    return now_seen, {place for place, each in enumerate(rest) if not (isinstance(each, dict) and len(each) == 1)}


def test_a_plot_and_a_log_that_did_not_change_are_not_sent_again(tmp_path: Path, no_index: None) -> None:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache", llm="offline")
    page = Page.of(settings, settings.workspace())
    run = train_run(run_id="train-9q9q9q", status="running", result=None)
    page.workspace.runs.save(run)
    with SummaryWriter(page.workspace.runs.folder(run.id) / "tensorboard") as board:
        board.add_scalar("train/loss", 0.5, 1)
    me = processes.identity(processes.os.getpid())
    told: dict[str, Any] = {"folder": tmp_path, "cache": tmp_path, "device": "cpu", "threads": 1, "workers": 1}
    job = Job(
        id="job-1", workflow="train", request=TrainRequest(model="m", data="d"), command="x", created=now(),
        log=tmp_path / "log", status="running", run=run.id, worker=me, supervisor=me, **told,
    )  # fmt: skip
    store = JobStore(page.workspace.home)
    store.add(job)
    panel = _Panel(page)
    seen, first = sent(panel, {})
    assert first == {0, 1, 2, 3, 4, 5, 6}  # the list, the job, three of buttons, the curve, the log
    assert sent(panel, seen)[1] == set()
    step = Step(step="epoch", done=1, total=2, fraction=0.5, seconds_left=None)
    store.change("job-1", ("running",), progress=step)
    page.watch.jobs(now=True)
    seen, more = sent(panel, seen)
    assert more == {1}
    (tmp_path / "log").write_text("a line")
    assert sent(panel, seen)[1] == {6}
