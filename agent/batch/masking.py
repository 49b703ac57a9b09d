"""Nothing secret in what a batch tells: passwords and keys in addresses, and values that are known to be secret."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

MASK = "***"
SHORTEST = 4  # characters; a shorter secret would mask every other word
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
_PARAMETER = re.compile(
    r"([?&;][\w.-]*(?:key|token|secret|passw|password|signature|sig|auth|credential)[\w.-]*=)[^&;#\s'\"]+",
    re.IGNORECASE,
)
_PROVIDER_KEY = re.compile(r"\b(?:sk|hf|ghp|xox[abp])[-_][A-Za-z0-9_-]{12,}")


def masked(content: Any, secrets: Iterable[str]) -> Any:
    """The content (text, or a JSON document) with everything secret replaced.

    Args:
        content: what is about to be told.
        secrets: values that must not appear in it.
    """
    known = sorted((each for each in secrets if len(each) >= SHORTEST), key=len, reverse=True)

    def text(given: str) -> str:
        for secret in known:
            given = given.replace(secret, MASK)
        given = _LOGIN.sub(rf"\1{MASK}@", given)
        given = _PARAMETER.sub(rf"\1{MASK}", given)
        return _PROVIDER_KEY.sub(MASK, given)

    def walk(part: Any) -> Any:
        if isinstance(part, str):
            return text(part)
        if isinstance(part, dict):
            return {walk(key): walk(value) for key, value in part.items()}
        if isinstance(part, list | tuple):
            return [walk(each) for each in part]
        return part

    return walk(content)


def host_of(url: str) -> str:
    """Where an address leads, without the path: that of a webhook is often its password."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"
