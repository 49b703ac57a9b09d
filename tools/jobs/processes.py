"""The processes of jobs on this machine: starting one, whether it is alive, ending it with all that it started.

A job on a Ray cluster (`tools.cluster`) is such a process too: it leads the work, and the workers end with it.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tools.jobs.records import Process

COMMAND = [
    sys.executable,
    "-P",
    "-m",
    "tools.jobs.worker",
]  # -P: a folder "tools" in the folder of the user is not ours
ROOT = Path(__file__).resolve().parents[2]
ASKED = 1.2  # seconds that a worker gets to end by itself
LOOK = 0.02  # seconds between two looks at a process that is to end
BOOT = Path("/proc/sys/kernel/random/boot_id")

_started: list[subprocess.Popen[bytes]] = []


def start(home: Path) -> None:
    """Start a process that takes the next job of the queue and needs nobody.

    Raises:
        OSError: the system starts none.
    """
    _started[:] = [each for each in _started if each.poll() is None]  # takes leave of those that ended
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [*COMMAND, str(home.absolute())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,  # Ctrl-C and a closed terminal are not meant for it
    )
    _started.append(process)


def identity(pid: int) -> Process | None:
    """The process of that number now; None if there is none, or it has ended and only waits to be taken leave of."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return Process(pid=pid, began=_began(process))
    except psutil.NoSuchProcess:
        return None


def alive(process: Process | None) -> bool:
    return process is not None and identity(process.pid) == process


def stop(process: Process, asked: float = ASKED) -> None:
    """End a process and all that it started: it is asked, and after a while killed."""
    if not alive(process):
        return
    root = psutil.Process(process.pid)
    family = {root}
    limit = time.monotonic() + asked
    with suppress(psutil.NoSuchProcess):
        root.terminate()
        while alive(process) and time.monotonic() < limit:
            family.update(root.children(recursive=True))
            time.sleep(LOOK)
        family.update(root.children(recursive=True))
    # The worker leads a group of its own: whose parent has gone is still found by it.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for each in family:
        with suppress(psutil.NoSuchProcess):  # psutil looks whether it is still the same process
            each.kill()
    psutil.wait_procs(family, timeout=0.4)


def _began(process: psutil.Process) -> str:
    """Ticks since the machine started, where the system tells: a time of day moves when the clock is set."""
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text()
        return f"{BOOT.read_text().strip()} {stat.rpartition(')')[2].split()[19]}"
    except OSError:  # another system, or the process has just gone
        return repr(process.create_time())
