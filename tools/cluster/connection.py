"""Connecting to a Ray cluster, or starting one on this machine for as long as it is needed."""

import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analyzers.errors import EngineFailed, UsageError

PATIENCE = 5.0  # seconds that the head of a cluster gets to answer
AUTO = "auto"  # the cluster that this machine is part of
# No message to anybody, and nothing on the terminal but what the workflow says.
QUIET = {
    "RAY_NUM_REDIS_GET_RETRIES": "2",  # attempts of several seconds to reach the head, which answers before that
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_LOGGING": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process more, for clusters that tell when a machine goes
}
LOOPBACK = (
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # 0: listen on 127.0.0.1 alone, on every system; read when Ray is imported
)
_TOKEN = secrets.token_hex(32)  # of clusters that this process starts; Ray would write one into the user's folder


@contextmanager
def connected(address: str | None, cpus: int) -> Iterator[Any]:
    """The module ray, connected.

    Args:
        address: HOST:PORT of a cluster's head, "auto" for the cluster of this machine; None starts one here.
        cpus: of the one that is started.

    Raises:
        UsageError: Ray is not installed, or the address is none.
        EngineFailed: the cluster cannot be reached.
    """
    os.environ.update(QUIET)
    os.environ[LOOPBACK] = "0" if _is_here(address) else "1"
    ray = _imported()
    ray._private.ray_constants.ENABLE_RAY_CLUSTER = not _is_here(
        address
    )  # it may have been imported for another cluster
    named = f"ray:{address}" if address else "ray"
    if address and address != AUTO:
        _check_answers(address)
    folder = None if address else Path(tempfile.mkdtemp(prefix="layerwise-ray-"))
    options: dict[str, Any] = {"address": address}
    if folder:
        os.environ.setdefault("RAY_AUTH_TOKEN", _TOKEN)
        options = {
            "address": "local",
            "num_cpus": cpus,
            "include_dashboard": False,
            "_temp_dir": str(folder),
        }
    try:
        with _own_signals(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            except (ConnectionError, RuntimeError, ValueError, OSError) as problem:
                raise EngineFailed(
                    _not_let_in(named, problem) if folder is None else _unreachable(named, problem)
                ) from problem
        yield ray
    finally:
        with _own_signals(), warnings.catch_warnings():
            ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


def _imported() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError:
        raise UsageError(
            "--engine ray needs the package ray, which is not installed: pip install 'layerwise[ray]', or use --engine local"
        ) from None
    return ray


def _check_answers(address: str) -> None:
    """Ray itself tries for a minute, and says where its logs are."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(
            f"--engine ray:{address} has no address of a cluster; give HOST:PORT of its head, as `ray start --head` prints it, "
            "ray:auto for the cluster of this machine, or ray to start one here"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE):
            pass
    except OSError as problem:
        raise EngineFailed(_unreachable(f"ray:{address}", problem)) from problem


def _not_let_in(named: str, problem: BaseException) -> str:
    if isinstance(problem, ConnectionError) and named != f"ray:{AUTO}":  # its port answered before
        return (
            f"{named} answers, and does not let this machine in; give it the token of the cluster (RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN as its head prints it with: ray get-auth-token), or try ray:auto on a machine that is part of it"
        )
    return _unreachable(named, problem)


def _is_here(address: str | None) -> bool:
    """Whether it names this machine by its loopback; Ray would look for it by another address of the machine."""
    host = address.rpartition(":")[0].strip("[]") if address else "localhost"
    return host in ("localhost", "127.0.0.1", "::1")


def _unreachable(named: str, problem: BaseException) -> str:
    first = (str(problem).strip() or type(problem).__name__).splitlines()[0]
    return (
        f"{named} cannot be reached ({first[:200]}); start a cluster with: ray start --head, join it from this machine with: ray "
        "start --address=HOST:PORT, or use --engine ray (one here) or local"
    )


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself, by which jobs are cancelled."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
