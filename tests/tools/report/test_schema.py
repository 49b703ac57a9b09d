"""The schema of JSON reports: published as it is, and true of what is written."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from analyzers.records import CurvePoint, Forecast, Forecasts, Run
from tests.sample_runs import (
    analysis_run,
    compression_run,
    evaluation_run,
    export_run,
    plan_run,
    story,
    train_run,
)
from tools.report import Narrative, write
from tools.report.file import schema

PUBLISHED = Path(__file__).parents[3] / "docs" / "report.schema.json"


@pytest.fixture(scope="module")
def checker() -> Any:
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(published)
    return jsonschema.Draft202012Validator(published, format_checker=jsonschema.FormatChecker())


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text(encoding="utf-8")) == schema(), "write it again with: python docs/schema.py"


def written(runs: list[Run], out: Path, **options: Any) -> Any:
    return json.loads(write(runs, out, **options).read_text())


FORETOLD = Forecasts(seconds=Forecast(value=1.0, n=0, runs=(), basis="minutes"), unknown={"disk_mb": "nothing"})
INFINITE = analysis_run().result.model_copy(
    update={"curves": {"random": [CurvePoint(removed=[], loss=float("inf"), metric=0.5)]}}
)


@pytest.mark.parametrize(
    "runs",
    [
        [*story(), evaluation_run(), export_run()],
        [train_run(status="failed", result=None, measurements=[], error="no rows")],
        [train_run(foretold=FORETOLD, peak_mb=12.5)],
        [compression_run(measurements=[])],
        [analysis_run(result=INFINITE)],
        [plan_run(30)],
    ],
    ids=["everything", "failed", "foretold", "nothing-measured", "infinite", "30-layers"],
)
def test_a_report_is_as_the_schema_says(runs: list[Run], tmp_path: Path, checker: Any) -> None:
    checker.validate(written(runs, tmp_path / "report.json", narrator=lambda runs, language: Narrative("So.", "me")))


def test_a_comparison_is_too(tmp_path: Path, checker: Any) -> None:
    runs = [compression_run(), compression_run(run_id="compression-999999", seed=3)]
    found = written(runs, tmp_path / "report.json", compare=True)
    checker.validate(found)
    assert found["comparison"]["runs"] == ["compression-5d5d5d", "compression-999999"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda report: report.pop("runs"),
        lambda report: report.update(version=2),
        lambda report: report.update(more=1),
        lambda report: report["runs"][0].update(kind="dance"),
        lambda report: report["runs"][0]["result"].pop("epochs"),
        lambda report: report["runs"][0]["measurements"][0].update(value="much"),
    ],
)
def test_the_schema_refuses_what_is_none(spoil: Any, tmp_path: Path, checker: Any) -> None:
    report = copy.deepcopy(written([train_run()], tmp_path / "report.json"))
    spoil(report)
    with pytest.raises(jsonschema.ValidationError):
        checker.validate(report)


def test_what_is_said_stands_beside_the_records(tmp_path: Path) -> None:
    found = written([*story(), train_run(run_id="train-777777", foretold=FORETOLD)], tmp_path / "report.json")
    assert found["headline"].startswith("3 of 6 layers were removed: 1-3.")
    assert found["numbers"][0]["value"] == "88.1 %"
    assert any("cannot tell the two apart" in fact["text"] for fact in found["how_sure"])
    assert any("one seed 0" in fact["text"] for fact in found["limits"])
    assert found["forecasts"]["train-777777"][0]["foretold"] == 1.0
    assert found["reproduce"].startswith("layerwise reproduce train-2a2a2a && layerwise reproduce train-777777 && ")
