"""Templates of the folder `templates`, filled in."""

from pathlib import Path
from typing import Any


def rendered(template: str, **content: Any) -> str:
    """The text of a template; a name that it uses and that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    surroundings = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    surroundings.filters["cell"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    surroundings.filters["identity"] = id
    surroundings.tests["of"] = lambda block, name: type(block).__name__ == name
    return surroundings.get_template(template).render(**content)
