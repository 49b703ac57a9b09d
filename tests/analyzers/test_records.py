"""A record that was written is read again as it was, and a command asks for what its request asked for."""

import json
import math
import shlex

import click
import pytest
from pydantic import ValidationError

from agent.cli import main
from agent.cli_options import request as request_of
from analyzers.errors import BadTarget
from analyzers.records import (
    AnalyzeRequest,
    CompressRequest,
    EvaluateRequest,
    Measurement,
    PlanRequest,
    Request,
    Run,
    TrainRequest,
)
from analyzers.references import parse_model
from analyzers.requests import ExportRequest
from analyzers.run_ids import new_run_id
from tests.sample_runs import analysis_run, compression_run, evaluation_run, export_run, plan_run, story, train_run

REQUESTS = [
    TrainRequest(model="demo:minilm", data="demo:amazon"),
    TrainRequest(model="m", data="d", epochs=7, batch_size=1, learning_rate=1e-5, max_tokens=8, patience=3, seed=9),
    TrainRequest(model="./a folder", data="csv:my file.csv?text=the text&label=stars", from_scratch="tiny 'one'.yaml"),
    AnalyzeRequest(model="train-2a2a2a", data="csv:a.csv"),
    AnalyzeRequest(model="m", data="d", methods=("fisher", "shap"), samples=8, max_tokens=64, batch_size=3),
    PlanRequest(analysis="analysis-3b3b3b", ratio=2),
    PlanRequest(analysis="analysis-3b3b3b", ratio=1.7142857142857142, budget=1, samples=8),
    PlanRequest(analysis="analysis-3b3b3b", keep=3, seed=1),
    PlanRequest(analysis="analysis-3b3b3b", max_drop=0.0),
    PlanRequest(analysis="analysis-3b3b3b", max_drop=0.02),
    CompressRequest(plan="plan-4c4c4c"),
    CompressRequest(plan="plan-4c4c4c", heal="none", epochs=1),
    EvaluateRequest(model="compression-5d5d5d", data="demo:movie", max_tokens=256, batch_size=2),
    ExportRequest(model="compression-5d5d5d"),
    ExportRequest(model="gguf:a model.gguf", format="gguf", remove=(3, 11), output="a folder", seed=1),
]


def parsed(line: str, kind: type[Request]) -> Request:
    """What the command line makes of a recorded command."""
    program, verb, *words = shlex.split(line)
    assert program == "layerwise"
    context = main.commands[verb].make_context(verb, words, parent=click.Context(main))
    return request_of(kind, **{name: context.params[name] for name in kind.model_fields})


@pytest.mark.parametrize("wanted", REQUESTS, ids=lambda wanted: wanted.command()[10:60])
def test_the_command_asks_for_the_same(wanted: Request):
    assert parsed(wanted.command(), type(wanted)) == wanted


def test_a_command_is_short():
    assert REQUESTS[0].command() == "layerwise train demo:minilm demo:amazon --seed 0"
    assert REQUESTS[4].command() == (
        "layerwise analyze m d --seed 0 --methods fisher,shap --samples 8 --max-tokens 64 --batch-size 3"
    )
    assert REQUESTS[8].command() == "layerwise plan analysis-3b3b3b --seed 0 --max-drop 0.0"


@pytest.mark.parametrize("targets", [{}, {"ratio": 2, "keep": 3}, {"ratio": 2, "keep": 3, "max_drop": 0.1}])
def test_a_plan_has_one_target(targets: dict[str, float]):
    with pytest.raises(BadTarget, match=rf"^{len(targets)} targets were given; .* exactly one of --ratio R, --keep N"):
        PlanRequest(analysis="analysis-3b3b3b", **targets)


@pytest.mark.parametrize(
    "change", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"max_tokens": 7}, {"seed": -1}, {"layers": 3}]
)
def test_values_that_no_request_has(change: dict[str, float]):
    with pytest.raises(ValidationError):
        TrainRequest(model="m", data="d", **change)


@pytest.mark.parametrize("run", [*story(), evaluation_run(), export_run()], ids=lambda run: run.kind)
def test_a_run_is_read_as_it_was_written(run: Run):
    again = Run.model_validate(json.loads(run.model_dump_json()))
    assert again == run
    assert type(again.result) is type(run.result)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_finite_number_is_read_as_it_was_written(value: float):
    # A model that was cut too far has such a loss; as null it would make the whole record unreadable.
    measured = Measurement(name="loss", subject="compressed", value=value, low=value, high=1.5)
    text = train_run(measurements=[measured]).model_dump_json()
    again = Run.model_validate(json.loads(text, parse_constant=pytest.fail)).measurements[0]
    assert again.value == pytest.approx(value, nan_ok=True)
    assert again.low == pytest.approx(value, nan_ok=True)
    assert again.high == 1.5


def test_a_result_of_another_kind():
    fields = json.loads(plan_run().model_dump_json())
    with pytest.raises(ValidationError):
        Run.model_validate(fields | {"kind": "train"})


def test_records_are_frozen_and_closed():
    run = train_run()
    with pytest.raises(ValidationError):
        run.status = "failed"
    with pytest.raises(ValidationError):
        Measurement(name="loss", subject="dense", value=1.0, median=1.0)


def test_measured():
    run = compression_run()
    assert run.measured("accuracy").subject == "dense"
    assert run.measured("accuracy", "healed", "test").value == 0.881
    assert run.measured("accuracy", "healed", "select") is None
    assert run.measured("speed") is None
    assert analysis_run().measured("accuracy") is None


@pytest.mark.parametrize("kind", ["train", "analysis", "plan", "compression", "evaluation", "export"])
def test_ids_of_runs_are_references(kind):
    ids = {new_run_id(kind) for _ in range(50)}
    assert len(ids) == 50
    assert all(parse_model(each).kind == "run" for each in ids)
    assert not any(letter in each.partition("-")[2] for each in ids for letter in "01lio")
