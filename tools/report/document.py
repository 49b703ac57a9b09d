"""The content of a report: the summary first, then the evidence, the limits, and how to make it again."""

from collections.abc import Sequence
from typing import Any

import yaml

from analyzers.records import Run, now
from prompts import load
from tools.report import background, evidence, models, summary
from tools.report.blocks import Gallery
from tools.report.content import Document, Facts, Language, Narrative, Section


def document(
    runs: Sequence[Run], language: Language = "en", narrative: Narrative | None = None, *, draws: bool = True
) -> Document:
    """The content of a report, sections without content left out; without charts where it draws none."""
    runs, gallery = list(runs), Gallery(draws)
    how_sure = summary.certainty(runs)
    parts = [
        Section("certainty", [Facts(how_sure)] if how_sure else []),
        evidence.data(runs),
        evidence.training(runs, gallery),
        evidence.scores(runs, gallery),
        evidence.agreement(runs, gallery),
        evidence.fidelity(runs, gallery),
        models.plans(runs, gallery),
        models.compressions(runs, gallery),
        models.evaluations(runs),
        models.exports(runs),
        models.cost(runs),
        models.texts(runs),
        *closing(runs),
    ]
    return assembled(title(runs), summary.headline(runs), summary.tiles(runs), parts, language, narrative)


def closing(runs: list[Run]) -> list[Section]:
    """What stands at the end of every report."""
    return [
        background.limits(runs),
        background.settings(runs),
        background.environment(runs),
        background.checksums(runs),
        background.commands(runs),
    ]


def assembled(
    title: str,
    headline: str,
    tiles: list[Any],
    parts: Sequence[Section],
    language: Language,
    narrative: Narrative | None,
) -> Document:
    """The document with its fixed words."""
    return Document(
        title=title,
        created=f"{now():%Y-%m-%d %H:%M} UTC",
        language=language,
        headline=headline,
        narrative=narrative,
        tiles=tiles,
        sections=[section for section in parts if section.blocks],
        words=words(language),
    )


def words(language: Language) -> dict[str, Any]:
    """The fixed words of a report, and the titles of its sections under `sections`."""
    return dict(yaml.safe_load(load("report.yaml"))[language])


def title(runs: Sequence[Run]) -> str:
    first = runs[0]
    return f"Layerwise: {first.model}" + (f" on {first.data}" if first.data else "")
