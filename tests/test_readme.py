"""Every command of the README runs, in its order, as it stands there.

Small stand-ins lie in the cache where the demo model and the demo texts would be; the `real` tests use the real ones.
"""

import contextlib
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import main
from analyzers.compression import cost, verify
from tests.stand_ins import fill_cache
from tests.tools.conftest import opened_here, timed_here

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines()]
RUN_ID = re.compile(r"\b(train|analysis|plan|compression|evaluation|export)-[a-z0-9]{6}\b")


class Shell:
    """A folder, a home and a cache of its own. Commands run in this process, which has loaded the libraries already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        fill_cache(folder / "cache" / "layerwise")
        self.environment = {
            "LAYERWISE_HOME": str(folder / "home"),
            "LAYERWISE_CACHE": str(folder / "cache" / "layerwise"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "LAYERWISE_THREADS": "1",
        }
        rows = ["body,stars", *(f"{word} number {i},{word}" for i in range(40) for word in ("good", "bad"))]
        (folder / "reviews.csv").write_text("\n".join(rows))
        (folder / "small.yaml").write_text(next(text for kind, text in BLOCKS if kind == "yaml"))
        self.first: dict[str, str] = {}  # the first run of each kind

    def run(self, words: list[str]) -> str:
        assert words[0] == "layerwise"
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(main, words[1:], env=self.environment)
        assert done.exit_code == 0, f"{shlex.join(words)}: {done.stderr[-2000:]} {done.exception!r}"
        for run in (self.folder / "home" / "runs").glob("*-*"):
            self.first.setdefault(run.name.partition("-")[0], run.name)
        return done.stdout

    def command(self, line: str) -> str:
        """Run a line; a run id in it means the first run of that kind that was made here."""
        return self.run(shlex.split(RUN_ID.sub(lambda match: self.first[match[1]], line)))


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    return Shell(tmp_path_factory.mktemp("readme"))


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 15
    assert {line.split()[0] for line in COMMANDS} == {"make", "layerwise"}


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_make_knows_the_target(line: str) -> None:
    done = subprocess.run(["make", "--dry-run", line.split()[1]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# In one test: the commands build on one another.
def test_commands_run_as_they_stand(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    # The `real` tests take the seconds for new interpreters.
    monkeypatch.setattr(cost, "in_fresh_process", timed_here)
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    for line in COMMANDS:
        if line.startswith("layerwise "):
            out = shell.command(line)
            if "--json" in line:
                json.loads(out)
    assert (shell.folder / "report.html").is_file()
    assert (shell.folder / "plan.zip").is_file()


def test_the_python_of_the_readme_runs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = next(text for kind, text in BLOCKS if kind == "python")
    shell.run(["layerwise", "train", "demo:minilm", "demo:amazon", "--epochs", "1"])
    model = shell.folder / "home" / "runs" / shell.first["train"] / "model"
    monkeypatch.setenv("XDG_CACHE_HOME", shell.environment["XDG_CACHE_HOME"])
    exec(code.replace("path/to/model", str(model)))
    assert capsys.readouterr().out.startswith("[")


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
