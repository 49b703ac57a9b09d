"""Scripts that ship: each is a YAML file beside this one, named on the command line as `recipe:NAME`."""

from pathlib import Path

from agent.batch.marks import read
from analyzers.errors import BadScript
from analyzers.records import Record

PREFIX = "recipe:"
_FOLDER = Path(__file__).parent


class Recipe(Record):
    name: str
    about: str
    variables: dict[str, object]  # with the values that they have where nobody sets them
    matrix: dict[str, object]


def recipes() -> list[Recipe]:
    """All recipes, by name."""
    found = []
    for path in sorted(_FOLDER.glob("*.yaml")):
        content = read(path.read_text(encoding="utf-8"), path.name).content
        found.append(
            Recipe(
                name=path.stem,
                about=content["about"],
                variables=content.get("variables") or {},
                matrix=content.get("matrix") or {},
            )
        )
    return found


def script_path(name: str) -> Path:
    """The file of a script: a path, or `recipe:NAME`.

    Raises:
        BadScript: there is no such recipe.
    """
    if not name.startswith(PREFIX):
        return Path(name)
    path = _FOLDER / f"{name.removeprefix(PREFIX)}.yaml"
    names = [each.stem for each in sorted(_FOLDER.glob("*.yaml"))]
    if path.stem not in names or path.parent != _FOLDER:
        raise BadScript(f"no recipe {name.removeprefix(PREFIX)!r}; there are: {', '.join(names)}")
    return path
