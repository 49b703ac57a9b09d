"""A script in a folder of its own, done through the command line by workflows that load no model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tools.unchanged import Changes, Present

__all__ = ["no_index", "workflows"]

SCRIPT = """\
variables: {api_key: hunter2secret, floor: 0.5}
steps:
  - train: {model: demo:minilm, data: demo:amazon}
    assert: test_accuracy >= ${floor}
  - analyze: {model: "${train.run}", data: demo:amazon}
  - plan: {analysis: "${analyze.run}", ratio: 2}
  - compress: {plan: "${plan.run}"}
    assert:
      - healed.accuracy <= 1
      - parameters > 0 * train.test_accuracy
  - report: {runs: "${compress.run}", out: all.md}
"""


@pytest.fixture
def batch(tmp_path: Path, workflows: FakeWorkflows, no_index: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nightly.yaml").write_text(SCRIPT)

    def call(*words: str, code: int = 0, script: str | None = None) -> Result:
        if script is not None:
            (tmp_path / "nightly.yaml").write_text(script)
        result = CliRunner().invoke(main, ["batch", "nightly.yaml", *words])
        assert result.exit_code == code, result.stderr
        assert "Traceback" not in result.stderr
        return result

    return call


@pytest.fixture
def unchanged(monkeypatch: pytest.MonkeyPatch) -> list[Changes]:
    """What is said of runs of history; the last is repeated."""
    told = [Changes()]
    monkeypatch.setattr(Present, "changes", lambda *_: told.pop(0) if len(told) > 1 else told[0])
    return told


def steps(result: Result) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(result.stdout)["steps"]}


def statuses(result: Result) -> dict[str, str]:
    return {name: each["status"] for name, each in steps(result).items()}
