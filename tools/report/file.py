"""A report as JSON, and the schema of it, which docs/report.schema.json publishes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from analyzers.records import (
    AnalysisResult,
    CompressionResult,
    EvaluationResult,
    ExportResult,
    PlanResult,
    Record,
    Run,
    TrainResult,
    now,
)
from knowledge.comparison import Comparison, compare
from tools.deviations import Deviation, deviations
from tools.report.background import reproduce
from tools.report.content import Document, Fact, Facts, Language, Narrative, Tile

VERSION = 1
SCHEMA = "https://json-schema.org/draft/2020-12/schema"


class ReportedRun(Run):
    """A run, with the kinds of results that there are."""

    result: TrainResult | AnalysisResult | PlanResult | CompressionResult | EvaluationResult | ExportResult | None = (
        None
    )


class ReportFile(Record):
    """What `layerwise report RUN --out report.json` writes."""

    version: Literal[1] = Field(description="of this form; another number is another form")
    title: str
    created: datetime
    language: Language = Field(description="of the narrative")
    headline: str = Field(description="what to remove and what it costs, or how far the work is")
    numbers: list[Tile] = Field(description="the few that decide, as people read them")
    narrative: Narrative | None
    how_sure: list[Fact]
    limits: list[Fact] = Field(description="what the numbers do not say")
    forecasts: dict[str, list[Deviation]] = Field(description="by run: what was foretold of it, and what it took")
    comparison: Comparison | None = Field(description="of runs side by side; null unless that was asked for")
    reproduce: str = Field(description="the command that makes all of it again")
    runs: list[ReportedRun] = Field(description="the records, the oldest first")


class _Schema(GenerateJsonSchema):
    """JSON has no infinity: records write it as a text."""

    def float_schema(self, schema: Any) -> JsonSchemaValue:
        return {"anyOf": [super().float_schema(schema), {"enum": ["NaN", "Infinity", "-Infinity"]}]}


def as_json(content: Document, runs: Sequence[Run], compared: bool) -> str:
    """The report as one JSON document."""
    facts = {
        section.id: [fact for block in section.blocks if isinstance(block, Facts) for fact in block.items]
        for section in content.sections
    }
    told = ReportFile(
        version=VERSION,
        title=content.title,
        created=now(),
        language=content.language,
        headline=content.headline,
        numbers=content.tiles,
        narrative=content.narrative,
        how_sure=facts.get("certainty", []),
        limits=facts.get("limits", []),
        forecasts={run.id: found for run in runs if (found := deviations(run))},
        comparison=compare(list(runs)) if compared else None,
        reproduce=reproduce(list(runs)),
        runs=[ReportedRun.model_validate(run.model_dump()) for run in runs],
    )
    return told.model_dump_json(indent=1) + "\n"


def schema() -> dict[str, Any]:
    """JSON schema of a report, as draft 2020-12."""
    made = ReportFile.model_json_schema(mode="serialization", schema_generator=_Schema)
    return {"$schema": SCHEMA, "title": "Layerwise report", **{k: v for k, v in made.items() if k != "title"}}
