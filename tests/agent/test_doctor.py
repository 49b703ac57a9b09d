"""Grades of models behind scripted servers, and that a grade picks the strategy of the next conversation."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import grades
from agent.cli import main
from agent.llm import choose
from agent.settings import Settings
from tests.agent.servers import MODEL, Calls, Fails, OllamaHandler, Says, Script, serving

TRAIN = {"model": "demo:minilm", "data": "demo:amazon"}
PRINTED = json.dumps({"name": "train_model", "arguments": TRAIN})
SPEED = (Says("yes"), Says("1, 2, 3"))


def doctor(script: Script, home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("LAYERWISE_OLLAMA_BASE_URL", script.url)
    done = CliRunner().invoke(main, ["doctor", "--llm", f"ollama:{MODEL}", "--home", str(home), "--json"])
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("steps", "strategy", "refrains"),
    [
        ([Calls("train_model", TRAIN), Says("no json"), Says("Hello!")], "native", True),
        (
            [Calls("train_model", TRAIN), Says('{"steps": ["train_model"]}'), Says("Hello!")],
            "native",
            True,
        ),
        (  # calls natively, on a greeting too; under the schema it does not
            [
                Calls("train_model", TRAIN),
                Says('{"steps": ["train_model"]}'),
                Calls("list_capabilities", {}),
                Says('{"steps": ["answer"]}'),
                Says("Hello!"),
            ],
            "schema",
            True,
        ),
        (
            [
                Says(PRINTED),
                Says('{"steps": ["train_model"]}'),
                Says('{"steps": ["answer"]}'),
                Says("Hi"),
            ],
            "schema",
            True,
        ),
        ([Says(PRINTED), Says("no json"), Says("Hi there")], "text", True),
        ([Fails(400, "does not support tools"), Says("no json"), Says("I am a poet.")], None, False),
        ([Calls("train_model", TRAIN), Says("no json"), Calls("list_capabilities", {})], "native", False),
    ],
    ids=["native", "native and schema", "native but eager", "prints, schema", "prints", "nothing", "eager"],
)
def test_a_grade_says_what_works(
    steps: list[Any], strategy: str | None, refrains: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(OllamaHandler, Script(*SPEED, *steps)) as script:
        found = doctor(script, tmp_path / "home", monkeypatch)
        assert (found["grade"]["strategy"], found["grade"]["refrains"]) == (strategy, refrains)
        assert (found["grade"]["context"], found["grade"]["context_set"]) == (32768, 8192)
        assert found["grade"]["tokens_per_second"] > 0
        assert found["environment"]["runs"] == 0
        known = Settings(home=tmp_path / "home", ollama_base_url=script.url)
        assert choose(f"ollama:{MODEL}", known).grade == strategy
        assert "not graded" not in choose(f"ollama:{MODEL}", known).why
        other = known.model_copy(update={"home": tmp_path / "other"})
        assert choose(f"ollama:{MODEL}", other).grade is None
        assert f"layerwise doctor --llm ollama:{MODEL}" in choose(f"ollama:{MODEL}", other).why
    if strategy is None:
        assert "choose another model, or --llm offline" in found["verdict"]


def test_the_planner_needs_no_grade(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["doctor", "--llm", "offline", "--home", str(tmp_path)])
    assert "needs no grade" in done.stdout
    for line in ("device", "threads", "home", "search index", "cache"):
        assert line in done.stdout
    assert not (tmp_path / "grades").exists()


def test_a_server_that_fails_gets_no_grade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(OllamaHandler, Script(Fails(500, "out of memory"))) as script:
        found = doctor(script, tmp_path, monkeypatch)
    assert "out of memory" in found["error"]["message"]
    assert not (tmp_path / "grades").exists()


def test_a_damaged_grade_is_no_grade(tmp_path: Path) -> None:
    path = grades._path(tmp_path, "ollama:m", "here")
    path.parent.mkdir()
    path.write_text('{"llm": "ollama:m"}')
    assert grades.read(tmp_path, "ollama:m", "here") is None
    assert grades._path(tmp_path, "ollama:m:1", "here") != grades._path(tmp_path, "ollama-m-1", "here")
