"""How much memory this process takes, in bytes."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def memory_now() -> int:
    """What is in memory now; where the system does not say, the most there ever was."""
    return _status("VmRSS") or _highest()


def memory_peak() -> int:
    """The most there was since `forget_peak`, or since the process began where that can not be forgotten."""
    return _status("VmHWM") or _highest()


def forget_peak() -> None:
    """Let `memory_peak` begin anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed in this container
        return


def _status(name: str) -> int:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _highest() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
