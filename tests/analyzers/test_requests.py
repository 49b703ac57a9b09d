"""A request out of its command, and back."""

import pytest

from analyzers.errors import UsageError
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Request, TrainRequest
from analyzers.requests import KINDS, REQUESTS, ExportRequest, parse_command


@pytest.mark.parametrize(
    "request_",
    [
        TrainRequest(model="demo:minilm", data="csv:a file.csv?text=body", epochs=2, learning_rate=3e-4, seed=7),
        TrainRequest(model="small", data="demo:nyt", from_scratch="small.yaml"),
        AnalyzeRequest(model="train-k3v9qd", data="demo:amazon", methods=("fisher", "shap"), samples="auto"),
        AnalyzeRequest(model="a/b", data="demo:amazon", samples=64),
        PlanRequest(analysis="analysis-k3v9qd", max_drop=0.02, precisions=("int8",), minutes=1.5),
        CompressRequest(plan="plan-81mzna", heal_data=("demo:nyt", "csv:x.csv"), heal_minutes=2),
        EvaluateRequest(model="x", data="y", batch_size=3),
        ExportRequest(model="plan-81mzna", format="gguf", remove=(1, 3), output="out folder"),
    ],
)
def test_there_and_back(request_: Request):
    assert parse_command(request_.command()) == request_


@pytest.mark.parametrize(
    "command",
    ["", "layerwise", "layerwise dance a b", "rm -rf x", "layerwise train a", "layerwise train a b --epochs", "layerwise 'x",
     "layerwise train a b --epochs many", "layerwise train a b --speed 3"],
)  # fmt: skip
def test_what_is_no_command(command: str):
    with pytest.raises(UsageError, match="is no command of a workflow"):
        parse_command(command)


def test_each_request_has_a_kind_of_run():
    assert set(KINDS) == set(REQUESTS) == {"train", "analyze", "plan", "compress", "evaluate", "export"}
