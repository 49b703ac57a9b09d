"""Who may come in."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from agent.ui.gate import USER, Gate

HERE = "http://127.0.0.1:7860"


def client(users: dict[str, str] | None = None, local: bool = True, **options: Any) -> TestClient:
    async def hello(request: Any) -> PlainTextResponse:
        return PlainTextResponse(f"hello {request.scope.get(USER, '')}")

    behind = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
    return TestClient(Gate(behind, users or {}, local), base_url=HERE, **options)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_may_not_post(headers: dict[str, str]) -> None:
    assert client().post("/", headers=headers).status_code == 403
    assert client().get("/", headers=headers).status_code == 200  # a link from elsewhere may lead here


@pytest.mark.parametrize("headers", [{}, {"Origin": HERE}, {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}])
def test_our_page_and_programs_may_post(headers: dict[str, str]) -> None:
    assert client().post("/", headers=headers).status_code == 200


def test_another_name_of_this_machine_is_not_answered_to() -> None:
    headers = {"Host": "evil.example:7860", "Origin": "http://evil.example:7860"}
    assert client().post("/", headers=headers).status_code == 403
    assert client(local=False).post("/", headers=headers).status_code == 200
    assert client().get("/", headers={"Host": "localhost:7860"}).status_code == 200


@pytest.mark.parametrize("given", [None, ("alice", "two"), ("carol", "one"), ("alice", ""), ("", "")])
def test_nobody_comes_in_without_a_name_and_its_password(given: Any) -> None:
    answer = client({"alice": "one", "bob": "two"}).get("/", auth=given)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_who_signed_in_is_known_behind_the_gate() -> None:
    assert client({"alice": "one", "bob": "two"}).get("/", auth=("bob", "two")).text == "hello bob"


def test_a_header_that_is_no_name_and_password_is_refused() -> None:
    for header in ("Basic %%%", "Basic /w==", "Bearer x", "Basic"):
        assert client({"alice": "one"}).get("/", headers={"Authorization": header}).status_code == 401


def test_the_browser_is_told_to_load_nothing_from_another_host() -> None:
    policy = client().get("/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
