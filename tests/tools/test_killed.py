"""kill -9 in the middle of an analysis: the same command takes the same run up and ends as if nothing had happened."""

import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from analyzers.errors import UsageError
from analyzers.progress import Progress
from analyzers.records import Request
from tests.tools import killable
from tests.tools.conftest import Chain, copied, left_in, run
from tools.recording import _alone, unfinished
from tools.workspace import Workspace


def killed(forks: ForkServerContext, request: Request, workspace: Workspace) -> None:
    """The command of the request, killed after nine pieces of its work."""
    words = [*request.command().split()[1:], "--home", str(workspace.home)]
    surroundings = {"LAYERWISE_CACHE": str(workspace.cache), "LAYERWISE_THREADS": "1"}
    process = forks.Process(target=killable.command, args=(9, words, surroundings))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_killed_analysis_goes_on(forks: ForkServerContext, chain: Chain, tmp_path: Path) -> None:
    workspace, request = copied(chain, tmp_path, "train"), chain.requests["analyze"]
    killed(forks, request, workspace)
    [half] = workspace.runs.list(kind="analysis")
    assert half.status == "running"
    assert half.result is None
    assert unfinished("analysis", request, workspace) == half

    whole = run(request, workspace)
    assert whole.id == half.id
    assert whole.status == "done"
    assert whole.result == chain["analyze"].result
    assert left_in(workspace.runs.folder(whole.id)) == {"record.json"}
    assert unfinished("analysis", request, workspace) is None
    assert run(request, workspace, Progress()).id != whole.id  # a finished one is not taken up


def test_a_run_that_another_process_works_on_is_left_alone(chain: Chain, tmp_path: Path) -> None:
    workspace, request = copied(chain, tmp_path, "train"), chain.requests["analyze"]
    half = chain["analyze"].model_copy(update={"id": "analysis-2a2a2a", "status": "running", "result": None})
    workspace.runs.save(half)
    assert unfinished("analysis", request, workspace) == half
    with _alone(half.id, workspace):
        assert unfinished("analysis", request, workspace) is None
        with (
            pytest.raises(UsageError, match="another process is at work on analysis-2a2a2a"),
            _alone(half.id, workspace),
        ):
            pass
    assert unfinished("analysis", request, workspace) == half
