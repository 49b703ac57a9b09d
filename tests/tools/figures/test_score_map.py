"""The heat map shows ranks, says so, and keeps the scores beside them."""

from analyzers.records import Agreement, AnalysisResult, Layer, LayerScore
from tests.sample_runs import METHODS, analysis_run
from tools.figures import score_map


def result(**scores: list[float]) -> AnalysisResult:
    count = len(next(iter(scores.values())))
    return AnalysisResult(
        task="classification",
        metric="accuracy",
        layers=[Layer(index=i, name=f"layer.{i}", parameters=1) for i in range(count)],
        scores={
            method: [LayerScore(layer=i, value=value, low=value, high=value) for i, value in enumerate(values)]
            for method, values in scores.items()
        },
        units=dict.fromkeys(scores, "nats"),
        agreement=Agreement(kendall_w=None, tau={}),
        fidelity={},
        curves={},
        consensus=[1, 0, 2],
        believe=None,
    )


def test_ranks_by_hand() -> None:
    trace = score_map(result(ablation=[0.3, 0.5, 0.1], shap=[-1.0, -2.0, -2.0])).data[0]
    assert list(trace.y) == ["ablation", "SHAP", "consensus"]
    # the higher the score, the nearer to rank 1; equal scores share the better rank; consensus puts layer 1 first
    assert [list(row) for row in trace.z] == [[2, 1, 3], [1, 2, 2], [2, 1, 3]]
    assert [list(row) for row in trace.text] == [["2", "1", "3"], ["1", "2", "2"], ["2", "1", "3"]]
    assert trace.customdata[0][1] == "0.500 nats (0.500 to 0.500)"


def test_every_method_and_layer_has_a_cell() -> None:
    found = analysis_run(30).result
    assert isinstance(found, AnalysisResult)
    trace = score_map(found).data[0]
    assert len(trace.z) == len(METHODS) + 1
    assert all(sorted(row) == list(range(1, 31)) for row in trace.z)


def test_without_a_consensus_there_is_no_row_for_it() -> None:
    found = result(ablation=[0.3, 0.5, 0.1]).model_copy(update={"consensus": []})
    assert list(score_map(found).data[0].y) == ["ablation"]
