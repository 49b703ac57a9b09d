"""The only configuration: `LAYERWISE_*`, read once, and a key that is shown nowhere."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from agent import settings
from agent.settings import Settings
from analyzers.errors import UsageError

KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("LAYERWISE_") or name == "OPENAI_API_KEY":
            monkeypatch.delenv(name)


def test_defaults_are_local() -> None:
    found = settings.read()
    assert found.llm == "auto"
    assert found.ollama_base_url == "http://127.0.0.1:11434"
    assert found.openai_base_url is None
    assert found.openai_api_key is None
    assert found.num_ctx == 8192
    assert found.home.name == "layerwise"


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("LAYERWISE_HOME", "/tmp/home", "home", Path("/tmp/home")),
        ("LAYERWISE_CACHE", "/tmp/cache", "cache", Path("/tmp/cache")),
        ("LAYERWISE_DEVICE", "cpu", "device", "cpu"),
        ("LAYERWISE_THREADS", "2", "threads", 2),
        ("LAYERWISE_LLM", "offline", "llm", "offline"),
        ("LAYERWISE_OLLAMA_BASE_URL", "http://box:1", "ollama_base_url", "http://box:1"),
        ("LAYERWISE_OPENAI_BASE_URL", "http://box:2/v1", "openai_base_url", "http://box:2/v1"),
        ("LAYERWISE_NUM_CTX", "4096", "num_ctx", 4096),
    ],
)
def test_each_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(settings.read(), field) == expected


def test_the_option_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERWISE_HOME", "/from/the/environment")
    assert settings.read(Path("/from/the/option")).home == Path("/from/the/option")


def test_the_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    found = settings.read()
    assert found.openai_api_key is not None
    assert found.openai_api_key.get_secret_value() == KEY
    for shown in (repr(found), str(found), str(found.model_dump()), found.model_dump_json(), repr(found.workspace())):
        assert KEY not in shown


def test_the_workspace_has_whole_paths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LAYERWISE_HOME", "~/layers")
    monkeypatch.setenv("LAYERWISE_THREADS", "1")
    workspace = settings.read().workspace()
    assert workspace.home == tmp_path / "layers"
    assert (workspace.threads, workspace.device) == (1, "auto")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LAYERWISE_THREADS", "many"),
        ("LAYERWISE_THREADS", "0"),
        ("LAYERWISE_DEVICE", "tpu"),
        ("LAYERWISE_NUM_CTX", "100"),
    ],
)
def test_a_bad_value_names_the_variable(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"{variable}='{value}' is not allowed"):
        settings.read()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().llm = "offline"
