"""Names of runs."""

import secrets

from analyzers.records import Kind


def new_run_id(kind: Kind) -> str:
    """A name such as analysis-k3v9qd; letters and digits that cannot be confused when read aloud."""
    return f"{kind}-{''.join(secrets.choice('23456789abcdefghjkmnpqrstuvwxyz') for _ in range(6))}"
