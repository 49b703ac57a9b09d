"""What a verb of the command line works with, and how it ends: results on standard output, errors in one line."""

import json
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.quiet import hush, output_kept_for_results
from tools.failures import told, unexpected

if TYPE_CHECKING:
    from agent.settings import Settings
    from analyzers.progress import Progress
    from tools.workspace import Workspace


class Session:
    """The home, the settings and the progress of one call."""

    def __init__(self, home: Path | None, as_json: bool) -> None:
        self._home = home
        self.as_json = as_json
        self.as_job = False  # a workflow is to run in a process of its own
        self.engine: str | None = None  # where workflows compute; None: as the settings say

    @cached_property
    def settings(self) -> "Settings":
        from agent.settings import read

        found = read(self._home)
        hush(found.threads)
        return found

    @cached_property
    def workspace(self) -> "Workspace":
        from tools.engines import check_engine

        found = self.settings.workspace()
        return found.model_copy(update={"engine": check_engine(self.engine or found.engine)})

    @cached_property
    def progress(self) -> "Progress":
        from agent.terminal import TerminalProgress

        return TerminalProgress()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around everything that may load libraries: nothing but the result reaches standard output."""
        _ = self.settings  # sets the environment of the libraries before they are imported
        with output_kept_for_results():
            yield

    def settle(self) -> None:
        """Find the runs whose process was killed: none is shown as running when it is not."""
        from tools.recording import settle_all

        settle_all(self.workspace)

    def close(self) -> None:
        """Tell what the run store had to say."""
        if "workspace" in self.__dict__:
            for notice in self.workspace.runs.notices:
                click.echo(f"note: {notice}", err=True)


def show(text: str) -> None:
    click.echo(text)


def show_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False))


class Cli(click.Group):
    """A group that ends each failure with one message on standard error: exit code 1 failed, 2 misused, 3 cancelled."""

    def main(self, args: Sequence[str] | None = None, *others: Any, **extra: Any) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        # asked to end by another process: the same way out as Ctrl-C, which saves what was finished
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            code = super().main(words, *others, **extra)
        except BaseException as problem:  # noqa: BLE001 (whatever it is, it ends here)
            code = _failed(problem, "--json" in words)
        finally:
            signal.signal(signal.SIGTERM, before)
        sys.exit(code if isinstance(code, int) else 0)


def _failed(problem: BaseException, as_json: bool) -> int:
    """Say what went wrong; the exit code."""
    if isinstance(problem, SystemExit):
        return problem.code if isinstance(problem.code, int) else 1
    if isinstance(problem, click.exceptions.NoArgsIsHelpError):
        click.echo(problem.format_message(), err=True)
        return 2
    name, message, code = _named(problem)
    if not message:
        traceback.print_exception(problem)
        message = unexpected(problem)
    click.echo(f"error: {message}", err=True)
    if as_json:
        show_json({"error": {"type": name, "message": message}})
    return code


def _named(problem: BaseException) -> tuple[str, str, int]:
    """Name, message and exit code; no message for what nobody expected."""
    if isinstance(problem, click.Abort):
        problem = KeyboardInterrupt()
    if isinstance(problem, click.ClickException):
        where = getattr(problem, "ctx", None)
        hint = f"; see: {where.command_path} --help" if where else ""
        return "UsageError", problem.format_message().rstrip(".") + hint, 2
    return told(problem)
