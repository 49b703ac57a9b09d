"""Where runs, artifacts and sessions live."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from analyzers.records import Run
from knowledge.runs import RunStore


class Workspace(BaseModel):
    """A home: `home/runs/<id>/` holds each run, `home/index/` the searchable history, `home/sessions/` conversations,
    `home/jobs/` what runs in processes of its own.

    `cache` is shared by all homes and holds demo assets.
    """

    model_config = ConfigDict(frozen=True, ignored_types=(cached_property,))

    home: Path
    cache: Path
    device: str = "auto"
    threads: int | None = None  # None: as many as torch takes by itself
    chroma_url: str | None = None  # a Chroma server for the search index; None: inside the home
    workers: int = 1  # jobs that may run at once
    engine: str = "local"  # where workflows compute: see tools.engines
    began: Callable[[Run], None] | None = Field(
        default=None, exclude=True, repr=False
    )  # told of each run that is recorded

    @cached_property
    def runs(self) -> RunStore:
        return RunStore(self.home, embedder_folder=self.cache / "minilm", chroma_url=self.chroma_url)

    @property
    def sessions(self) -> Path:
        return self.home / "sessions"

    @property
    def reports(self) -> Path:
        """Those that were written in a conversation."""
        return self.home / "reports"
