"""Template answers: prompts/answers.en.j2 and prompts/answers.zh.j2, one macro an answer."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template

from agent.planner.reading import Language
from prompts import load
from tools import wording
from tools.translation import words


def render(language: Language, name: str, source: str = "answers", **values: Any) -> str:
    """The answer `name` of the templates `source` in that language, as Markdown.

    Spaces and line breaks of the templates that Markdown does not need are dropped.
    """
    text = str(getattr(_template(source, language).module, name)(**values))
    lines = [re.sub(r" {2,}", " ", line).strip() for line in text.strip().splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


@cache
def _template(source: str, language: Language) -> Template:
    environment = Environment(  # no escaping: the answers are Markdown, and whoever shows them as HTML must escape them
        loader=FunctionLoader(load), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    say = words(language)
    environment.filters.update(number=number, many=many, paragraph=paragraph, say=say)
    environment.filters.update(
        title=lambda name: say(wording.title(name)),
        value=lambda given, name="", unit="": say(value(given, name, unit, say)),
    )
    environment.filters.update(duration=wording.duration, amount=lambda megabytes: wording.size(megabytes * 1e6))
    environment.globals.update(measured=measured)
    return environment.get_template(f"{source}.{language}.j2")


def number(given: float, name: str = "", unit: str = "") -> str:
    """One number: `89.9 %`, `22.7 M`, `6.10 ms`; whole numbers below a million as they are."""
    if not name and float(given).is_integer() and abs(given) < 1e6:
        return f"{int(given)} {unit}".strip()
    return wording.number(given, name, unit)


def value(estimate: dict[str, Any], name: str = "", unit: str = "", say: Callable[[str], str] = str) -> str:
    """A value with its 95 % interval: `89.9 % [87.1 to 92.5]`. `say` puts the unit into the language of the answer."""
    name, unit = estimate.get("name", name), estimate.get("unit", unit)
    between = wording.interval(estimate["low"], estimate["high"], name)
    return wording.number(estimate["value"], name, say(unit)) + (f" [{between}]" if between else "")


def many(values: list[Any], joint: str = ", ") -> str:
    return joint.join("–" if each is None else str(each) for each in values)


def paragraph(text: str) -> str:
    """The first paragraph of a note."""
    return text.split("\n\n")[0]


def measured(run: dict[str, Any], name: str, *subjects: str) -> dict[str, Any] | None:
    """The measurement of that name on the test split (or on no split), of the first of the subjects that has one."""
    for subject in subjects:
        for each in run["measurements"]:
            if (each["name"], each["subject"]) == (name, subject) and each["split"] in ("test", None):
                return dict(each)
    return None
