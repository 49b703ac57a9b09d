"""What a plan can be asked for beside a number of layers, and how it ends when it was killed."""

from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from analyzers.errors import BadTarget, Cancelled, ModelError
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, PlanRequest, Run
from analyzers.requests import ExportRequest
from tests.tools.conftest import Chain, copied, left_in, refused, run, workspace_in, write_decoder, write_sentences
from tests.tools.test_killed import killed
from tools import workflows
from tools.workspace import Workspace


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Run]:
    """An analysis of a language model of eight layers."""
    folder = tmp_path_factory.mktemp("decoder")
    workspace, model = workspace_in(folder), str(write_decoder(folder / "decoder", layers=8))
    lines = write_sentences(folder / "s.csv", 240).read_text().splitlines()[1:]
    texts = [line.rpartition(",")[0] for line in lines]
    joined = [" ".join(texts[start : start + 6]) for start in range(0, 240, 6)]
    (folder / "texts.csv").write_text("text,other\n" + "\n".join(f"{text},x" for text in joined) + "\n")
    wanted = AnalyzeRequest(
        model=model, data=f"csv:{folder / 'texts.csv'}", methods=("ablation",), max_tokens=16, batch_size=4, samples=8
    )
    return workspace, run(wanted, workspace)


def test_parts_of_blocks(decoder: tuple[Workspace, Run]):
    workspace, analysis = decoder
    whole = run(PlanRequest(analysis=analysis.id, keep=5, budget=40), workspace)
    parts = run(PlanRequest(analysis=analysis.id, keep=5, budget=60, granularity="sublayer"), workspace)
    result = parts.result
    assert (result.granularity, whole.result.granularity) == ("sublayer", "block")
    assert len(result.layers) == 16
    assert result.layers[1].name == "model.layers.0.mlp"
    sizes = {layer.index: layer.parameters for layer in result.layers}
    of_three_blocks = 3 * (sizes[0] + sizes[1])
    assert sum(sizes[part] for part in result.remove) >= of_three_blocks
    assert result.prediction.parameters <= whole.result.prediction.parameters
    ranked = [candidate.select.metric.value for candidate in result.candidates]
    assert ranked == sorted(ranked)
    by_source = {each.source: each for each in result.candidates}
    blocks = {each.source: each for each in whole.result.candidates}
    for name in ("reverse_order", "block_influence", "ablation"):  # the same sets, named by parts
        assert by_source[name].select.metric.value == pytest.approx(blocks[name].select.metric.value, rel=1e-4)
        assert by_source[name].remove == [unit for layer in blocks[name].remove for unit in (2 * layer, 2 * layer + 1)]
    assert any("not be saved" in note for note in result.uncertain)
    refused(CompressRequest(plan=parts.id), workspace, BadTarget, parts.id, "--granularity block")
    with pytest.raises(BadTarget, match=f"{parts.id} removes parts of blocks"):
        workflows.export(ExportRequest(model=parts.id), workspace, Progress())


@pytest.fixture(scope="module")
def encoder(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A home of its own: other tests look for the newest plan of the chain."""
    return copied(chain, tmp_path_factory.mktemp("encoder"), "train", "analyze")


def test_parts_of_an_encoder_are_refused(chain: Chain, encoder: Workspace):
    wanted = PlanRequest(analysis=chain["analyze"].id, ratio=2, granularity="sublayer")
    refused(wanted, encoder, ModelError, "BertLayer", "--granularity block")


def test_the_divergence_from_the_dense_model(chain: Chain, encoder: Workspace):
    plan = run(PlanRequest(analysis=chain["analyze"].id, keep=2, objective="kl"), encoder).result
    assert plan.objective == "kl"
    apart = [each.select.divergence.value for each in plan.candidates]
    assert apart == sorted(apart)
    assert apart[0] > plan.dense.divergence.value == pytest.approx(0, abs=1e-5)
    best = max(plan.candidates, key=lambda each: each.select.metric.value)
    told = any("KL divergence and accuracy disagree" in note for note in plan.uncertain)
    assert told == (best.select.metric.value > plan.candidates[0].select.metric.value)


def test_a_size(chain: Chain, encoder: Workspace):
    dense = next(point for point in chain["plan"].result.frontier if not point.remove)
    block = chain["plan"].result.layers[0].parameters
    limit = (dense.parameters - 1.5 * block) * 4 / 1e6
    plan = run(PlanRequest(analysis=chain["analyze"].id, max_size=limit), encoder).result
    assert len(plan.keep) == 2
    assert plan.prediction.disk_mb <= limit
    refused(
        PlanRequest(analysis=chain["analyze"].id, max_size=1e-3),
        encoder,
        BadTarget,
        "--max-size 0.001",
        "nearest",
    )


def test_a_latency(chain: Chain, encoder: Workspace, monkeypatch: pytest.MonkeyPatch):
    """Each of the four layers takes 2 ms of 10."""
    monkeypatch.setattr("tools.steps.planning._milliseconds", lambda *_: (10.0, [2.0] * 4))
    plan = run(PlanRequest(analysis=chain["analyze"].id, max_latency=7.9), encoder).result
    assert len(plan.keep) == 2
    refused(
        PlanRequest(analysis=chain["analyze"].id, max_latency=3.9),
        encoder,
        BadTarget,
        "4 ms of 10",
        "--max-latency 4",
    )


def test_a_measured_latency(chain: Chain, encoder: Workspace):
    """What each layer takes is measured; whether a tiny model has any is the machine's affair."""
    dense = chain["plan"].result.prediction.dense_latency_ms.value
    wanted = PlanRequest(analysis=chain["analyze"].id, max_latency=dense * 1e-3)
    refused(wanted, encoder, BadTarget, "--max-latency", "cannot be reached", "nearest")


class StopAt(Progress):
    """Stops when so many ticks of all steps together were heard."""

    def __init__(self, ticks: int) -> None:
        super().__init__()
        self.left = ticks

    def advanced(self, step: str, done: int, total: int) -> None:
        self.left -= 1
        if not self.left:
            raise Cancelled("stopped")


@pytest.mark.parametrize("granularity", ["block", "sublayer"])
def test_a_stopped_search_goes_on(decoder: tuple[Workspace, Run], granularity: str):
    workspace, analysis = decoder
    wanted = PlanRequest(analysis=analysis.id, keep=5, budget=45, granularity=granularity, seed=4)
    undisturbed = run(wanted, workspace)
    workspace.runs.delete(undisturbed.id)
    for ticks in (20, 30):
        with pytest.raises(Cancelled):
            run(wanted, workspace, StopAt(ticks))
    [stopped] = [each for each in workspace.runs.list(kind="plan") if each.status == "cancelled"]
    again = run(wanted, workspace)
    assert again.id == stopped.id
    assert left_in(workspace.runs.folder(again.id)) == {"record.json"}
    assert measured(again) == measured(undisturbed)


def test_a_killed_plan_goes_on(forks: ForkServerContext, chain: Chain, tmp_path: Path):
    workspace, request = copied(chain, tmp_path, "train", "analyze"), chain.requests["plan"]
    killed(forks, request, workspace)
    [half] = workspace.runs.list(kind="plan")
    assert half.status == "running"
    whole = run(request, workspace)
    assert (whole.id, whole.status) == (half.id, "done")
    assert measured(whole) == measured(chain["plan"])


def test_minutes_are_repeated_by_the_budget_they_came_to(decoder: tuple[Workspace, Run]):
    workspace, analysis = decoder
    by_clock = run(PlanRequest(analysis=analysis.id, keep=5, minutes=0.02, seed=6), workspace)
    spent = by_clock.result.spent
    assert spent > 0
    again = run(PlanRequest(analysis=analysis.id, keep=5, budget=spent, seed=6), workspace)
    assert again.result.candidates[0].select.metric.value <= by_clock.result.candidates[0].select.metric.value


def measured(plan: Run) -> dict[str, object]:
    """All of a plan but what was timed."""
    return plan.result.model_dump(exclude={"prediction"})
