"""What is said when there is no cluster to compute on."""

import signal
import socket
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from agent.cli import main
from analyzers.errors import EngineFailed, UsageError
from analyzers.records import AnalyzeRequest
from tests.tools.conftest import workspace_in
from tools.cluster.connection import connected
from tools.engines import check_engine, engine_of
from tools.jobs import JobStore, submit
from tools.jobs.ending import workspace_of


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_cluster_that_is_not_there_is_said_at_once() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(EngineFailed) as told, connected(address, 1):
        pass
    assert f"ray:{address} cannot be reached" in str(told.value)
    assert "ray start --head" in str(told.value)
    assert "--engine ray" in str(told.value)


@pytest.mark.parametrize("address", ["nowhere", "nowhere:", "host:port", ":6379", "host:99999", "//host:10001x"])
def test_what_is_no_address_is_said(address: str) -> None:
    with pytest.raises(UsageError, match="give HOST:PORT of its head"), connected(address, 1):
        pass


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'layerwise\[ray\]'"), connected(None, 1):
        pass


@pytest.mark.parametrize("wanted", ["", "Ray", "ray:", "spark", "rays"])
def test_engines_that_are_none(wanted: str) -> None:
    with pytest.raises(UsageError, match="there are: local"):
        check_engine(wanted)


def test_engines_that_are_some() -> None:
    for wanted in ("local", "ray", "ray:auto", "ray:head:6379"):
        assert check_engine(wanted) == wanted


def test_only_cpus(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr("tools.cluster.engine.pick_device", lambda wanted: torch.device("cuda"))
    workspace = workspace_in(tmp_path).model_copy(update={"engine": "ray"})
    with pytest.raises(UsageError, match="LAYERWISE_DEVICE=cpu"), engine_of(workspace):
        pass


@pytest.mark.parametrize(
    ("words", "variable", "refused"),
    [(["--engine", "spark"], None, True), ([], "spark", True), (["--engine", "local"], "spark", False)],
)
def test_the_command_line_refuses_engines_that_are_none(
    words: list[str], variable: str | None, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The option goes before the variable."""
    if variable:
        monkeypatch.setenv("LAYERWISE_ENGINE", variable)
    found = CliRunner().invoke(main, ["analyze", "folder:nowhere", "demo:nothing", *words])
    assert found.exit_code == 2
    assert ("no engine 'spark'; there are: local" in found.output) is refused


def test_a_started_cluster_is_this_machine_alone_and_leaves_signals(cluster: Any) -> None:
    assert [node["NodeManagerAddress"] for node in cluster.nodes()] == ["127.0.0.1"]
    assert signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.default_int_handler)


def test_no_usage_is_reported(cluster: Any) -> None:
    from ray._common.usage import usage_lib

    assert not usage_lib.usage_stats_enabled()


def test_a_job_keeps_the_engine_it_was_asked_for(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.jobs.control.start_next", lambda store: None)  # it stays in the queue
    workspace = workspace_in(tmp_path).model_copy(update={"engine": "ray:head:6379"})
    job = submit(AnalyzeRequest(model="demo:minilm", data="demo:amazon"), workspace)
    kept = JobStore(workspace.home).get(job.id)
    assert (kept.engine, workspace_of(JobStore(workspace.home), kept).engine) == ("ray:head:6379", "ray:head:6379")
    assert "ray" not in kept.command  # it is the same run wherever it is computed
    with pytest.raises(UsageError, match="no engine"):
        submit(
            AnalyzeRequest(model="demo:minilm", data="demo:amazon"), workspace.model_copy(update={"engine": "spark"})
        )
