"""Which language model is taken, and what a user reads when it cannot be."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import ollama
import pytest
from langchain_core.exceptions import ModelError
from pydantic import SecretStr

from agent.llm import OPENAI_MODEL, choose, create, explain, ollama_models
from agent.planner import Planner
from agent.settings import Settings
from analyzers.errors import LanguageModelError, LayerwiseError, UsageError

CLOSED = "http://127.0.0.1:9"  # the discard port: nothing listens
KEY = "sk-very-secret"


def settings(base_url: str = CLOSED, **fields: object) -> Settings:
    return Settings(home=Path("/nowhere"), ollama_base_url=base_url, **{"openai_api_key": None, **fields})


class Ollama(BaseHTTPRequestHandler):
    """Just enough of Ollama: the list of its models."""

    models: tuple[str, ...] = ("qwen3:8b", "nomic-embed-text:latest", "llama3.2:latest")
    status = 200

    def do_GET(self) -> None:
        assert self.path == "/api/tags"
        body = json.dumps({"models": [{"model": name, "name": name} for name in type(self).models]}).encode()
        self.send_response(type(self).status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Ollama)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()
    thread.join(5)


def test_offline_needs_nothing() -> None:
    chosen = choose("offline", settings())
    assert isinstance(chosen.model, Planner)
    assert (chosen.name, chosen.why) == ("offline", "the built-in planner, as asked")


def test_auto_without_a_server_and_a_key_is_the_planner() -> None:
    chosen = choose("auto", settings())
    assert chosen.name == "offline"
    assert "no Ollama answers at 127.0.0.1:9" in chosen.why
    assert "no key for OpenAI" in chosen.why


def test_auto_takes_the_newest_chat_model_of_ollama(server: str) -> None:
    chosen = choose("auto", settings(server, openai_api_key=SecretStr(KEY)))
    assert chosen.name == "ollama:qwen3:8b"
    assert chosen.model.num_ctx == 8192


def test_auto_takes_openai_where_ollama_has_no_chat_model(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ollama, "models", ("nomic-embed-text:latest",))
    chosen = choose("auto", settings(server, openai_api_key=SecretStr(KEY)))
    assert chosen.name == f"openai:{OPENAI_MODEL}"
    assert "has no model" in chosen.why
    assert KEY not in chosen.why + repr(chosen)


def test_ollama_models_are_listed_without_embedders(server: str) -> None:
    assert ollama_models(settings(server)) == ["qwen3:8b", "llama3.2:latest"]


@pytest.mark.parametrize("name", ["llama3.2", "llama3.2:latest", "qwen3:8b"])
def test_a_model_of_ollama_by_its_name(server: str, name: str) -> None:
    chosen = choose(f"ollama:{name}", settings(server, num_ctx=2048))
    assert chosen.name == f"ollama:{name}"
    assert (chosen.model.model, chosen.model.num_ctx, chosen.model.temperature) == (name, 2048, 0)


def test_a_missing_model_names_those_that_are_there(server: str) -> None:
    with pytest.raises(
        LanguageModelError, match=r"no model 'mistral'; there are: qwen3:8b, llama3\.2:latest; .*ollama pull mistral"
    ):
        choose("ollama:mistral", settings(server))


def test_a_server_that_fails_is_no_server(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ollama, "status", 500)
    with pytest.raises(LanguageModelError, match="no Ollama answers"):
        choose("ollama:qwen3:8b", settings(server))


def test_no_server_says_how_to_start_it() -> None:
    with pytest.raises(LanguageModelError, match="start it with: ollama serve, or choose another: --llm offline"):
        choose("ollama:qwen3:8b", settings())


def test_the_password_of_an_address_is_not_shown() -> None:
    with pytest.raises(LanguageModelError) as caught:
        choose("ollama:m", settings("http://me:hunter2@127.0.0.1:9"))
    assert "hunter2" not in str(caught.value)


def test_openai_without_a_key() -> None:
    with pytest.raises(LanguageModelError, match="set OPENAI_API_KEY, or LAYERWISE_OPENAI_BASE_URL"):
        choose("openai:gpt-4.1-mini", settings())


def test_openai_with_a_key_or_a_local_server() -> None:
    assert create("openai:gpt-4.1-mini", settings(openai_api_key=SecretStr(KEY))).model_name == "gpt-4.1-mini"
    local = choose("openai:qwen", settings(openai_base_url="http://127.0.0.1:8091/v1"))
    assert local.model.openai_api_base == "http://127.0.0.1:8091/v1"
    assert KEY not in repr(choose("openai:m", settings(openai_api_key=SecretStr(KEY))))


@pytest.mark.parametrize("name", ["", "gpt-4", "ollama:", "openai:", "offline:x", "anthropic:claude"])
def test_an_unknown_name_lists_the_forms(name: str) -> None:
    with pytest.raises(UsageError, match="allowed are: auto, offline, ollama:MODEL, openai:MODEL"):
        choose(name, settings())


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (LanguageModelError("as it is"), "as it is"),
        (httpx.ReadTimeout("slow"), "ollama:qwen3:8b did not answer within 300 s; try a smaller model"),
        (httpx.ConnectError("refused"), "ollama:qwen3:8b cannot be reached (refused); start the server"),
        (ConnectionError("refused"), "cannot be reached"),
        (ollama.ResponseError("qwen does not support tools", 400), "cannot call tools; choose a model that can"),
        (ollama.ResponseError("model not found", 404), "is not there; fetch it with: ollama pull qwen3:8b"),
        (
            ollama.ResponseError("out of memory", 500),
            "failed: out of memory (status code: 500); look at the server's log",
        ),
        (ModelError("bad key\nmore lines"), "failed: bad key; check model, key and address"),
    ],
)
def test_errors_of_providers_are_explained(error: Exception, says: str) -> None:
    found = explain(error, "ollama:qwen3:8b")
    assert found is not None
    assert says in str(found)
    assert "more lines" not in str(found)


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("x"), LayerwiseError("x")])
def test_a_fault_of_ours_is_not_explained_away(error: Exception) -> None:
    assert explain(error, "offline") is None
