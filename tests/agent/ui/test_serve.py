"""Where the page is served, and to whom."""

import socket
from contextlib import closing

import pytest
from click.testing import CliRunner

from agent.cli import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--host", "0.0.0.0"], "add --auth USER:PASSWORD"),
        (["--host", "192.0.2.1", "--auth", "a:b"], "cannot listen at 192.0.2.1"),
        (["--auth", "alice"], "give USER:PASSWORD"),
        (["--auth", ":secret-word"], "give USER:PASSWORD"),
        (["--port", "70000"], "70000"),
    ],
)
def test_what_cannot_be_served_is_told(words: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["ui", *words])
    assert done.exit_code == 2
    assert told in done.stderr
    assert "secret-word" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(main, ["ui", "--port", str(port)])
    assert done.exit_code == 2
    assert "--port 0 takes a free one" in done.stderr
