"""What an error is called, and told as one line with what to do next."""

import errno

from analyzers.errors import Cancelled, LayerwiseError

STOPPED = (
    "cancelled; what was finished is kept: the same command goes on with it (train and compress with --resume), and finished "
    "runs are in: layerwise runs list"
)


def told(problem: BaseException) -> tuple[str, str, int]:
    """Name, message and exit code; no message for what nobody expected."""
    name = type(problem).__name__
    if isinstance(problem, KeyboardInterrupt):
        return "Cancelled", STOPPED, Cancelled.exit_code
    if isinstance(problem, LayerwiseError):
        return name, str(problem), problem.exit_code
    text = str(problem).splitlines()[0] if str(problem) else ""
    if isinstance(problem, MemoryError) or "can't allocate memory" in text or "out of memory" in text.lower():
        return "MemoryError", "out of memory; try a smaller --batch-size or --max-tokens", 1
    if "No space left on device" in text or getattr(problem, "errno", None) == errno.ENOSPC:
        return "StorageError", "the disk is full; free some space or choose another place with --home", 1
    if isinstance(problem, OSError):
        what = f"{problem.filename}: {problem.strerror}" if problem.filename and problem.strerror else text
        return "StorageError", f"{what or name}; check the path and who may read and write it", 1
    return name, "", 1


def not_allowed(problem: Exception) -> str | None:
    """What a record of ours did not take, and why; None for another problem."""
    from pydantic import ValidationError

    if not isinstance(problem, ValidationError):
        return None
    first = problem.errors()[0]
    name = ".".join(map(str, first["loc"]))
    given = f" {first['input']!r}" if first["type"] != "missing" else ""
    return f"{name or 'it'}{given} is not allowed: {first['msg']}" if given else f"{name} is missing"


def unexpected(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem} (this is a fault of Layerwise; please report it)"
