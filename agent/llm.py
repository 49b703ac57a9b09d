"""The language model of a conversation: the built-in planner, Ollama, or OpenAI and servers that speak its protocol."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from langchain_core.language_models import BaseChatModel

from agent import grades
from agent.grades import Grade
from agent.settings import Settings
from analyzers.errors import LanguageModelError, UsageError

FORMS = "auto, offline, ollama:MODEL, openai:MODEL"
OPENAI_MODEL = "gpt-4.1-mini"  # what `auto` takes when there is a key
TIMEOUT = 300.0
PROBE_TIMEOUT = 2.0
ANSWER_TOKENS = 1024  # an answer may have; some models never end
BUSY = (429, 502, 503)  # answers of a server that may do better in a moment


class LanguageModel(NamedTuple):
    model: BaseChatModel
    name: str  # offline, ollama:MODEL, openai:MODEL
    why: str  # one line: what was chosen, and why
    grade: Grade | None = None  # of `layerwise doctor`
    context: int | None = None  # tokens that it reads at once, where it is known
    timeout: float = TIMEOUT
    retries: int = 2
    patience: float = 1.0  # seconds before a busy server is asked again, then twice that

    def close(self) -> None:
        """Let go of the connections, which the libraries leave to the garbage collector."""
        for name in ("_client", "root_client"):
            client = getattr(getattr(self.model, name, None), "_client", None)
            if client is not None and hasattr(client, "close"):
                client.close()


def create(llm: str, settings: Settings) -> BaseChatModel:
    """The chat model that `llm` names: auto, offline, ollama:MODEL or openai:MODEL.

    Raises:
        UsageError: no such name.
        LanguageModelError: no server, no such model, no key.
    """
    return choose(llm, settings).model


def choose(llm: str, settings: Settings) -> LanguageModel:
    """Like `create`, with the name and the reason of the choice.

    `auto` takes Ollama if it answers and has a model, else OpenAI if there is a key, else the built-in planner.

    Raises:
        UsageError: no such name.
        LanguageModelError: no server, no such model, no key.
    """
    provider, _, model = llm.strip().partition(":")
    match provider, model:
        case "offline", "":
            return LanguageModel(_planner(), "offline", "the built-in planner, as asked")
        case "auto", "":
            return _auto(settings)
        case "ollama", _ if model:
            why = f"Ollama at {_server(settings.ollama_base_url)}, as asked"
            return _graded(_ollama(model, settings), llm, why, settings)
        case "openai", _ if model:
            return _graded(_openai(model, settings), llm, "OpenAI's protocol, as asked", settings)
    raise UsageError(f"no language model {llm!r}; allowed are: {FORMS}; offline needs nothing else")


def explain(error: Exception, name: str, timeout: float = TIMEOUT) -> LanguageModelError | None:
    """An error of a provider as one of ours, with what to do next; None for what is not an error of a provider."""
    import httpx
    import ollama
    from langchain_core import exceptions

    other = "or choose another: --llm offline"
    if isinstance(error, LanguageModelError):
        return error
    if isinstance(error, httpx.TimeoutException | exceptions.ModelTimeoutError):
        return LanguageModelError(
            f"{name} did not answer within {timeout:.0f} s; try a smaller model, raise LAYERWISE_LLM_TIMEOUT, {other}"
        )
    if isinstance(error, httpx.HTTPError | ConnectionError | exceptions.ModelConnectionError):
        return LanguageModelError(f"{name} cannot be reached ({_first_line(error)}); start the server, {other}")
    status = _status(error)
    if status in (401, 403):  # what the server says of it may repeat the key
        return LanguageModelError(
            f"{name}: the server does not accept the key; set OPENAI_API_KEY to a valid one, {other}"
        )
    if status == 429:
        return LanguageModelError(
            f"{name}: the server takes no more requests for now; wait a minute and ask again, {other}"
        )
    if isinstance(error, ollama.ResponseError):
        if "does not support tools" in str(error):
            return LanguageModelError(f"{name} cannot call tools; choose a model that can, {other}")
        if status == 404:
            model = name.partition(":")[2]
            return LanguageModelError(f"{name} is not there; fetch it with: ollama pull {model}, {other}")
        return LanguageModelError(f"{name} failed: {_first_line(error)}; look at the server's log, {other}")
    if isinstance(error, exceptions.ModelError) or type(error).__module__.partition(".")[0] == "openai":
        return LanguageModelError(f"{name} failed: {_first_line(error)}; check model, key and address, {other}")
    return None


def passes(error: Exception) -> bool:
    """Whether asking again in a moment may help. The client of OpenAI does so by itself."""
    import ollama

    return isinstance(error, ollama.ResponseError) and error.status_code in BUSY


def _status(error: Exception) -> int | None:
    for each in (error, error.__cause__):
        if isinstance(found := getattr(each, "status_code", None), int):
            return found
    return None


def _auto(settings: Settings) -> LanguageModel:
    try:
        models = ollama_models(settings)
    except LanguageModelError as problem:
        models, why_not = [], str(problem).partition(";")[0]
    else:
        why_not = f"Ollama at {_server(settings.ollama_base_url)} has no model"
    if models:
        name = f"ollama:{models[0]}"
        return _graded(_ollama(models[0], settings, check=False), name, f"{name}: Ollama answers and has it", settings)
    if settings.openai_api_key:
        name = f"openai:{OPENAI_MODEL}"
        why = f"{name}: {why_not}, and there is a key for OpenAI"
        return _graded(_openai(OPENAI_MODEL, settings), name, why, settings)
    return LanguageModel(
        _planner(), "offline", f"offline, the built-in planner: {why_not}, and there is no key for OpenAI"
    )


def ollama_models(settings: Settings) -> list[str]:
    """The chat models that Ollama has, the newest first.

    Raises:
        LanguageModelError: no server answers.
    """
    import httpx
    import ollama

    try:
        with ollama.Client(host=settings.ollama_base_url, timeout=PROBE_TIMEOUT) as client:
            listed = client.list()
    except (ConnectionError, httpx.HTTPError, ollama.ResponseError, ValueError):
        where = _server(settings.ollama_base_url)
        raise LanguageModelError(
            f"no Ollama answers at {where}; start it with: ollama serve, or choose another: --llm offline"
        ) from None
    return [entry.model for entry in listed.models if entry.model and "embed" not in entry.model]


def _ollama(model: str, settings: Settings, check: bool = True) -> BaseChatModel:
    from langchain_ollama import ChatOllama

    if check:
        there = ollama_models(settings)
        if model not in there and f"{model}:latest" not in there:
            known = f"there are: {', '.join(there)}" if there else "the server has none"
            raise LanguageModelError(f"Ollama has no model {model!r}; {known}; fetch it with: ollama pull {model}")
    return ChatOllama(
        model=model,
        base_url=settings.ollama_base_url,
        num_ctx=settings.num_ctx,  # the server's own default cuts the tools off without a word
        num_predict=ANSWER_TOKENS,
        temperature=0,
        client_kwargs={"timeout": settings.llm_timeout},
    )


def _openai(model: str, settings: Settings) -> BaseChatModel:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    key = settings.openai_api_key
    if key is None and settings.openai_base_url is None:
        raise LanguageModelError(
            "no key for OpenAI; set OPENAI_API_KEY, or LAYERWISE_OPENAI_BASE_URL for a local server, or --llm offline"
        )
    return ChatOpenAI(
        model=model,
        base_url=settings.openai_base_url,
        api_key=key or SecretStr("none"),  # local servers want none, the client wants one
        temperature=0,
        timeout=settings.llm_timeout,
        max_retries=settings.llm_retries,
        max_completion_tokens=ANSWER_TOKENS,
        streaming=True,  # so that an answer without an end is noticed while it comes
        stream_usage=True,
    )


def _planner() -> BaseChatModel:
    from agent.planner import Planner

    return Planner()


def server_of(name: str, settings: Settings) -> str:
    """The address that a language model is reached at, without user and password."""
    if name.startswith("ollama:"):
        return _server(settings.ollama_base_url)
    return _server(settings.openai_base_url or "https://api.openai.com")


def _graded(model: BaseChatModel, name: str, why: str, settings: Settings) -> LanguageModel:
    known = grades.read(settings.home.expanduser(), name, server_of(name, settings))
    local = name.startswith("ollama:") or settings.openai_base_url is not None
    return LanguageModel(
        model,
        name,
        why if known else f"{why}; not graded yet: layerwise doctor --llm {name}",
        grade=known.strategy if known else None,
        context=settings.num_ctx if local else None,
        timeout=settings.llm_timeout,
        retries=settings.llm_retries,
    )


def _server(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname or address)


def _first_line(error: Exception) -> str:
    """What the provider says, without anything that looks like a key."""
    first = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return re.sub(r"(?i)\b(?:sk-|bearer )[\w*.-]+", "***", first)
