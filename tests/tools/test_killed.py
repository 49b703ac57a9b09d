"""kill -9 in the middle of an analysis: the same command takes the same run up and ends as if nothing had happened."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from analyzers.errors import UsageError
from analyzers.progress import Progress
from tests.tools.conftest import Chain, copied, left_in, run
from tools.recording import _alone, unfinished

KILLED = """
import os, signal, sys
from analyzers.journal import Journal
from agent.cli import main
keep, left = Journal.keep, [int(sys.argv[1])]
def killing(self, name, **arrays):
    keep(self, name, **arrays)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
Journal.keep = killing
main(sys.argv[2:])
"""


def test_a_killed_analysis_goes_on(chain: Chain, tmp_path: Path) -> None:
    workspace, request = copied(chain, tmp_path, "train"), chain.requests["analyze"]
    words = [*request.command().split()[1:], "--home", str(workspace.home)]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, "9", *words], capture_output=True, check=False, env=environment(tmp_path)
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
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


def environment(folder: Path) -> dict[str, str]:
    import os

    return {
        **os.environ,
        "PYTHONPATH": str(Path.cwd()),
        "LAYERWISE_CACHE": str(folder / "cache"),
        "LAYERWISE_THREADS": "1",
    }
