"""All wording: what a language model is told, what the built-in planner understands, and the answers it gives."""

from functools import cache
from importlib import resources


@cache
def load(name: str) -> str:
    """The text of the file `name` of this folder, e.g. "system.md".

    Raises:
        FileNotFoundError: there is no such file.
    """
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
