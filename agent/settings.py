"""The only configuration: environment variables `LAYERWISE_*`, read once and passed down."""

from pathlib import Path
from typing import Literal

from platformdirs import user_cache_path, user_data_path
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from analyzers.errors import UsageError
from tools.workspace import Workspace


class Settings(BaseSettings):
    """What a user may set. The key of OpenAI is taken from `OPENAI_API_KEY` and shown nowhere."""

    model_config = SettingsConfigDict(env_prefix="LAYERWISE_", frozen=True, extra="ignore", populate_by_name=True)

    home: Path = Field(default_factory=lambda: user_data_path("layerwise"))
    cache: Path = Field(default_factory=lambda: user_cache_path("layerwise"))
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: int | None = Field(default=None, ge=1)  # None: as many as torch takes by itself
    chroma_url: str | None = None  # a Chroma server for the search index; None: inside the home
    workers: int = Field(default=1, ge=1)  # jobs that may run at once; each takes its share of the threads
    engine: str = "local"  # where workflows compute: local, ray, ray:HOST:PORT or ray:auto
    llm: str = "auto"
    ollama_base_url: str = "http://127.0.0.1:11434"
    openai_base_url: str | None = None
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    llm_timeout: float = Field(default=300.0, gt=0)  # seconds; a small machine reads a long prompt slowly
    llm_retries: int = Field(default=2, ge=0)  # of a server that is busy or out of reach for a moment
    ask_above: float = Field(default=60.0, ge=0)  # seconds; a step of the chat that takes longer waits for approval
    num_ctx: int = Field(default=8192, ge=1024)  # Ollama's own default cuts the tools off without a word

    def workspace(self) -> Workspace:
        return Workspace(
            home=self.home.expanduser(),
            cache=self.cache.expanduser(),
            device=self.device,
            threads=self.threads,
            chroma_url=self.chroma_url or None,
            workers=self.workers,
            engine=self.engine,
        )


def read(home: Path | None = None) -> Settings:
    """The settings of the environment; `home` goes before `LAYERWISE_HOME`.

    Raises:
        UsageError: a variable has a value that is not allowed.
    """
    try:
        return Settings(home=home) if home else Settings()
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"LAYERWISE_{name.upper()}"
        raise UsageError(f"{variable}={first['input']!r} is not allowed: {first['msg']}") from None
