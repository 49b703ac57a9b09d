"""What Ray raises, said in one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from ray.exceptions import AuthenticationError, OutOfMemoryError, RayActorError, RayError

from analyzers.errors import EngineFailed

AGAIN = "what was finished is kept: go on with the same command (train: and --resume), there or with --engine local"


@contextmanager
def failures(named: str) -> Iterator[None]:
    """Around calls of Ray.

    Raises:
        EngineFailed: a process of the cluster died, or the cluster did.
    """
    try:
        yield
    except RayError as problem:
        raise EngineFailed(told(problem, named)) from problem


def told(problem: BaseException, named: str) -> str:
    """What happened, and what to do next."""
    text = str(problem)
    if isinstance(problem, AuthenticationError):
        return f"{named} refused the token of this machine; take that of its head: ray get-auth-token there, RAY_AUTH_TOKEN here"
    if missing := next((line for line in text.splitlines() if "ModuleNotFoundError" in line), None):
        what = missing.partition("ModuleNotFoundError: ")[2] or missing
        return f"a machine of {named} lacks a package ({what.strip()}); all of them need the same: install layerwise[ray] there"
    if isinstance(problem, OutOfMemoryError) or "OutOfMemory" in text:
        return f"a process of {named} was ended because the memory of its machine ran out; {AGAIN}"
    inside = repr(getattr(problem, "worker_failures", ""))  # of Ray Train, whose own message does not say it
    if isinstance(problem, RayActorError) or any(sign in inside for sign in ("ActorDied", "ActorError", "HealthCheck")):
        return died(named)
    first = (text.strip() or type(problem).__name__).splitlines()[0]
    return f"{named} does not work any more ({first[:200]}); look at it with: ray status; {AGAIN}"


def died(named: str) -> str:
    """That a process is gone, and what to do next."""
    return f"a process of {named} died while it worked: it was killed, or its machine was lost; {AGAIN}"
