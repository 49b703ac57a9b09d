"""The summary of a batch sent to an address. It is a courtesy: what goes wrong here is said and changes nothing."""

from typing import Any
from urllib.parse import urlsplit

from agent.batch.masking import host_of
from analyzers.errors import UsageError

TIMEOUT = 10.0  # seconds
RETRIES = 1  # of a connection that could not be made


def check_address(url: str) -> None:
    """Refuse what cannot be sent to, before anything runs.

    Raises:
        UsageError: it is no address of HTTP.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise UsageError("--webhook needs an address such as https://host/path or http://127.0.0.1:8080/done")


def send(url: str, document: dict[str, Any]) -> str | None:
    """Post the document as JSON, following no redirect.

    Returns:
        Why it did not arrive; None: it did.
    """
    import httpx

    to = host_of(url)
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=RETRIES), timeout=TIMEOUT) as client:
            answer = client.post(url, json=document)
    except httpx.TimeoutException:
        return f"the webhook at {to} did not answer within {TIMEOUT:.0f} s"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as problem:
        first = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        return f"the webhook at {to} cannot be reached: {first.replace(url, to)}"
    return None if answer.is_success else f"the webhook at {to} answered {answer.status_code}"
