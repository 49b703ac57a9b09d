"""Who may come in: nobody from a page of another site and, where users are set, nobody without a name and a password."""

import base64
import binascii
import secrets
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

USER = "layerwise.user"  # where the name stands in the scope of a request
SAFE = {"GET", "HEAD", "OPTIONS"}
HERE = {"127.0.0.1", "localhost", "::1"}


# What a browser may load: from us alone. Gradio makes scripts and styles while it runs.
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ]
)


class Gate:
    """Stands before everything that the server has, so that no route is forgotten.

    Args:
        app: what is behind it.
        users: passwords by name; empty: anybody may come in.
        local: only names of this machine are answered to. Another site could otherwise give its own name our address, and
            its page would be one of ours.
    """

    def __init__(self, app: ASGIApp, users: Mapping[str, str], local: bool) -> None:
        self._app = app
        self._users = dict(users)
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        if refused is None and self._users:
            name = self._signed_in(headers)
            if name is None:
                ask = {"WWW-Authenticate": 'Basic realm="Layerwise", charset="UTF-8"'}
                refused = PlainTextResponse("sign in with the name and password that --auth gave\n", 401, ask)
            else:
                scope = {**scope, USER: name}
        if refused is None:
            return await self._app(scope, receive, partial(_sent, send))
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        return await refused(scope, receive, send)

    def _refused(self, scope: Scope, headers: Headers) -> PlainTextResponse | None:
        host = headers.get("host", "")
        if self._local and urlsplit(f"//{host}").hostname not in HERE:
            return PlainTextResponse("this page is only for this machine: open it as http://127.0.0.1\n", 403)
        origin = headers.get("origin")
        foreign = headers.get("sec-fetch-site") == "cross-site" or (origin and urlsplit(origin).netloc != host)
        if foreign and (scope["type"] == "websocket" or scope["method"] not in SAFE):
            return PlainTextResponse("a page of another site may not ask this of Layerwise\n", 403)
        return None

    def _signed_in(self, headers: Headers) -> str | None:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        known = self._users.get(name)
        right = secrets.compare_digest((known or "").encode(), password.encode())
        return name if known is not None and right else None


async def _sent(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        headers = MutableHeaders(scope=message)
        headers["Content-Security-Policy"] = POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "no-referrer"
    await send(message)
