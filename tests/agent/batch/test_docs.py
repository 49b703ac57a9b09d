"""The example of docs/batch.md runs as it stands there."""

import contextlib
import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.batch.recipes import recipes
from agent.batch.script import VERBS
from agent.cli import main
from analyzers.compression import cost, verify
from tests.stand_ins import fill_cache
from tests.tools.conftest import opened_here, timed_here

TEXT = (Path(__file__).parents[3] / "docs" / "batch.md").read_text(encoding="utf-8")
SCRIPT = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[0]
COMMANDS = re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)[0].splitlines()


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cost, "in_fresh_process", timed_here)
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    monkeypatch.setenv("LAYERWISE_THREADS", "1")
    fill_cache(tmp_path / "cache")
    (tmp_path / "half_size.yaml").write_text(SCRIPT)
    told = []
    with contextlib.chdir(tmp_path):
        for line in COMMANDS:
            done = CliRunner().invoke(main, shlex.split(line)[1:])
            assert done.exit_code == 0, done.stderr[-2000:]
            told.append(done.stdout)
    assert "half_size: 7 steps, at least " in told[0]
    assert "half_size: done, 7 of 7 steps in " in told[1]
    assert [each["status"] for each in json.loads(told[2])["steps"]] == [*["reused"] * 4, "done"]
    assert {each.name for each in tmp_path.glob("half_size.*")} == {"half_size.yaml", "half_size.xml", "half_size.html"}


def test_every_verb_and_recipe_is_described():
    for name in (*VERBS, *(each.name for each in recipes())):
        assert f"`{name}`" in TEXT
