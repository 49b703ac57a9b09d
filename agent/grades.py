"""What `layerwise doctor` found out about language models: a file for each pair of model and server in the home."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from analyzers.records import Record
from knowledge.files import write_whole

Grade = Literal["native", "text", "schema"]


class Graded(Record):
    """A language model behind a server, as it was seen to behave."""

    llm: str
    server: str
    created: datetime
    strategy: Grade | None  # the way to call tools; None: none of them worked
    native: bool  # calls by the protocol of the server
    text: bool  # prints calls that can be read
    schema_held: bool  # the server holds answers to a JSON schema, and the model chooses well under it
    refrains: bool  # calls nothing on a greeting, in the way that was chosen
    context: int | None  # tokens that the model was made for, where the server says so
    context_set: int | None  # tokens that Layerwise asks for
    tokens_per_second: float | None  # written
    prompt_tokens_per_second: float | None  # read
    seconds: float  # that the grading took


def read(home: Path, llm: str, server: str) -> Graded | None:
    """What is known of that pair; None: it was not graded, or by another version."""
    try:
        return Graded.model_validate_json(_path(home, llm, server).read_bytes())
    except (OSError, ValidationError):
        return None


def write(home: Path, graded: Graded) -> Path:
    """Keep it, in place of what was known.

    Raises:
        StorageError: the disk is full or not writable.
    """
    path = _path(home, graded.llm, graded.server)
    write_whole(path, (json.dumps(graded.model_dump(mode="json"), indent=1) + "\n").encode())
    return path


def _path(home: Path, llm: str, server: str) -> Path:
    name = "".join(char if char.isalnum() or char in ".-" else "-" for char in f"{llm}-{server}")[:80]
    # two names may look alike without their signs
    return home / "grades" / f"{name}-{hashlib.sha256(f'{llm} {server}'.encode()).hexdigest()[:8]}.json"
