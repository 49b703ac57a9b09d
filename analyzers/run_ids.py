"""Names of runs, and of what else is given one."""

import re
import secrets
from typing import get_args

from analyzers.records import Kind

# In a text; a longer word that only begins or ends like one is none.
RUN_ID = re.compile(rf"\b(?:{'|'.join(get_args(Kind))})-[a-z0-9]{{6}}\b")


def new_run_id(kind: Kind) -> str:
    """A name such as analysis-k3v9qd."""
    return new_id(kind)


def new_id(kind: str) -> str:
    """A name such as job-k3v9qd; letters and digits that cannot be confused when read aloud."""
    return f"{kind}-{''.join(secrets.choice('23456789abcdefghjkmnpqrstuvwxyz') for _ in range(6))}"
