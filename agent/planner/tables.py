"""The tables of the planner, prompts/intents.yaml, and their patterns."""

import re
from functools import cache
from typing import Any

import yaml

from prompts import load


@cache
def tables() -> dict[str, Any]:
    return yaml.safe_load(load("intents.yaml"))


def pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of the tables; word boundaries hold between Chinese and Latin letters too."""
    return re.compile(re.sub(r"(?<!\?P)<(\w+)>", r"<\1_>", text), re.IGNORECASE | re.ASCII)
