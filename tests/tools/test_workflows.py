"""The whole chain on tiny models: what each workflow does, records and leaves on the disk."""

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from agent.cli import main
from agent.cli_options import request as request_of
from analyzers.compression import verify
from analyzers.errors import BadTarget, UnknownRun, UsageError
from analyzers.importance.registry import choose
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Run, TrainRequest
from analyzers.references import parse_model
from tests.analyzers.test_planning import BASELINES
from tests.tools.conftest import (
    Chain,
    folder_of,
    opened_here,
    workspace_in,
    write_decoder,
    write_encoder,
    write_sentences,
)
from tools import workflows
from tools.deviations import deviations
from tools.inputs import open_inputs
from tools.wording import title
from tools.workload import NO_RUN, peak_of

VERBS = ("train", "analyze", "plan", "compress", "evaluate")
KINDS = {
    "train": "train",
    "analyze": "analysis",
    "plan": "plan",
    "compress": "compression",
    "evaluate": "evaluation",
}


def value(run: Run, name: str, subject: str, split: str | None = "test") -> float:
    measured = run.measured(name, subject, split)
    assert measured is not None, (name, subject, split)
    return measured.value


@pytest.mark.parametrize("verb", VERBS)
def test_the_run_is_saved_as_it_was_returned(verb: str, chain: Chain):
    run = chain[verb]
    assert (run.kind, run.status, run.error) == (KINDS[verb], "done", None)
    assert chain.workspace.runs.get(run.id) == run
    assert run.result is not None
    assert run.seconds > 0
    assert run.seed == chain.requests[verb].seed
    assert run.environment.device == "cpu"
    assert run.environment.versions["torch"].startswith("2.")
    assert run.settings.items() >= {"split_seed": 3, "seed": chain.requests[verb].seed}.items()


def test_each_run_names_what_it_came_from(chain: Chain):
    assert [chain[verb].parents for verb in VERBS] == [[], *([chain[verb].id] for verb in VERBS[:-1])]
    assert [chain[verb].model for verb in VERBS] == [chain.model, *[chain["train"].id] * 3, chain["compress"].id]
    assert {chain[verb].data for verb in VERBS} == {chain.data}


def test_all_are_measured_on_the_splits_of_the_training(chain: Chain):
    splits = chain["train"].splits
    assert all(chain[verb].splits == splits for verb in VERBS)
    assert sum(split.n for split in splits.values()) > 150
    alone = open_inputs(chain.model, chain.data, 1, chain.workspace, Progress(), new_head=True)
    assert alone.splits.fingerprints != splits, "the seed of the analysis would have given these anyway"


def test_the_data_are_described(chain: Chain):
    for split in chain["train"].splits.values():
        assert set(split.classes) == {"negative", "positive"}
        assert sum(split.classes.values()) == split.n
        assert split.lengths is not None
        assert 8 < split.lengths.shortest <= split.lengths.median <= split.lengths.most <= split.lengths.longest < 80


@pytest.mark.parametrize("verb", VERBS)
def test_what_was_foretold_stands_in_the_record(verb: str, chain: Chain):
    run = chain[verb]
    assert run.foretold is not None
    assert run.foretold.unknown["seconds"] == NO_RUN  # the first of its kind on this home
    assert {each.name: each.took for each in deviations(run)}.items() >= {"memory_mb": peak_of(run)}.items()
    assert run.peak_mb is not None
    assert run.peak_mb > 100  # torch alone takes that


@pytest.mark.parametrize("verb", VERBS)
def test_artifacts_have_their_checksums(verb: str, chain: Chain):
    folder = folder_of(chain, verb)
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} - {"record.json"}
    assert {artifact.path for artifact in chain[verb].artifacts} == there
    for artifact in chain[verb].artifacts:
        content = (folder / artifact.path).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (artifact.sha256, artifact.bytes)
    weights = "model/model.safetensors" in there
    assert weights == (verb in ("train", "compress"))
    assert not [path for path in there if "state.pt" in path or "best.safetensors" in path or "saving" in path]


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_of_a_record_asks_for_the_same(verb: str, chain: Chain):
    program, name, *words = shlex.split(chain[verb].command)
    assert (program, name) == ("layerwise", verb)
    kind = type(chain.requests[verb])
    context = main.commands[name].make_context(name, words, parent=click.Context(main))
    assert request_of(kind, **{field: context.params[field] for field in kind.model_fields}) == chain.requests[verb]


def test_training(chain: Chain):
    run = chain["train"]
    assert value(run, "accuracy", "dense") > 0.9
    assert run.result.layers == 4
    assert run.result.labels == ["negative", "positive"]
    assert run.measured("accuracy").n == run.splits["test"].n


def test_analysis(chain: Chain):
    result = chain["analyze"].result
    methods = [method.id for method in choose(("main",))]
    assert list(result.scores) == list(result.fidelity) == list(result.units) == methods
    for scores in result.scores.values():
        assert [score.layer for score in scores] == [0, 1, 2, 3]
        assert all(score.low <= score.value <= score.high for score in scores)
    assert sorted(result.consensus) == [0, 1, 2, 3]
    assert 0 <= result.agreement.kendall_w <= 1
    assert set(result.curves) == {*methods, "random", "greedy"}
    assert result.diagnostics["calibration_examples"] == 32


def test_plan(chain: Chain):
    run, result = chain["plan"], chain["plan"].result
    assert len(result.remove) == len(result.keep) == 2
    assert sorted(result.remove + result.keep) == [0, 1, 2, 3]
    assert result.exhaustive  # six subsets of two
    chosen, *others = result.candidates
    assert (chosen.source, chosen.remove) == ("search", result.remove)
    assert {candidate.source for candidate in others} == {*chain["analyze"].result.scores, "consensus", *BASELINES}
    assert chosen.test
    assert others[0].test, "the best baseline is on the test split too"
    ranked = [(-candidate.select.metric.value, candidate.select.loss.value) for candidate in result.candidates]
    assert ranked == sorted(ranked)
    assert [point.ratio for point in result.frontier] == pytest.approx([1, 4 / 3, 2, 4])
    best = next(point for point in result.frontier if point.ratio == 2)
    assert best.keep == result.keep
    assert best.parameters == result.prediction.parameters == value(chain["compress"], "parameters", "healed", None)
    assert value(run, "accuracy", "planned") == chosen.test.metric.value
    assert result.evaluations <= 64


def test_compression(chain: Chain):
    run, result = chain["compress"], chain["compress"].result
    plan = chain["plan"].result
    assert (result.removed, result.kept) == (plan.remove, plan.keep)
    assert result.verified.reloaded_in_fresh_process
    assert result.verified.same_text is None
    assert result.verified.max_logit_difference < 1e-4
    assert result.healing.best_epoch, "healing helped nothing: the test of the healed model tests nothing"
    # The plan measured the masked model; the one that was cut is the same.
    assert value(run, "accuracy", "compressed") == plan.candidates[0].test.metric.value
    assert value(run, "loss", "compressed") == pytest.approx(plan.candidates[0].test.loss.value, rel=1e-4)
    assert value(run, "accuracy", "dense") == value(chain["train"], "accuracy", "dense")
    kept = value(run, "accuracy", "healed") / value(run, "accuracy", "dense")
    assert value(run, "accuracy_ratio", "healed/dense") == pytest.approx(kept)
    assert value(run, "speedup", "healed/dense", None) > 0
    weights = folder_of(chain, "compress") / "model" / "model.safetensors"
    assert value(run, "disk_mb", "healed", None) == weights.stat().st_size / 1e6
    dense = folder_of(chain, "train") / "model" / "model.safetensors"
    assert value(run, "disk_mb", "dense", None) == dense.stat().st_size / 1e6
    assert value(run, "disk_mb", "predicted", None) == plan.prediction.disk_mb
    timed = [m.conditions for m in run.measurements if (m.name, m.subject) == ("latency_ms", "healed")]
    assert len(timed) == 2
    assert timed[0].startswith("14 texts of ")  # the middle one of two batches of 30 texts is the last
    assert timed[1].startswith("1 text of ")
    foretold = run.measured("latency_ms", "predicted")
    assert (foretold.value, foretold.conditions) == (plan.prediction.latency_ms.value, timed[0])
    assert all(run.measured("peak_memory_mb", subject) for subject in ("dense", "healed"))


def test_the_smaller_model_opens_with_plain_transformers(chain: Chain):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = folder_of(chain, "compress") / "model"
    model, report = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert len(model.bert.encoder.layer) == model.config.num_hidden_layers == 2
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers = model.eval()(**tokenizer(["a good lamp", "a bad lamp"], return_tensors="pt")).logits.argmax(-1)
    assert [model.config.id2label[int(answer)] for answer in answers] == ["positive", "negative"]


def test_evaluation_gives_what_compression_measured(chain: Chain):
    run = chain["evaluate"]
    assert value(run, "accuracy", "model") == value(chain["compress"], "accuracy", "healed")
    assert value(run, "loss", "model") == pytest.approx(value(chain["compress"], "loss", "healed"), rel=1e-5)
    assert run.result.layers == 2
    assert value(run, "latency_ms", "model", None) > 0


def test_report(chain: Chain, tmp_path: Path):
    runs = [chain[verb] for verb in VERBS]
    for ending in ("html", "md", "json"):
        path = workflows.report([run.id for run in runs], tmp_path / f"report.{ending}", chain.workspace)
        text = Path(path).read_text(encoding="utf-8")
        assert all(run.id in text for run in runs)
        methods = chain["analyze"].result.scores
        assert all((method if ending == "json" else title(method)) in text for method in methods)
    json.loads((tmp_path / "report.json").read_text())


def test_the_runs_are_found(chain: Chain):
    runs = chain.workspace.runs
    assert {run.id for run in runs.list()} >= {chain[verb].id for verb in VERBS}
    assert runs.search("plan that halves the layers", kind="plan")[0].run.id == chain["plan"].id
    assert not [line for line in runs.notices if "damaged" in line]


@pytest.mark.parametrize(
    ("verb", "wanted", "message"),
    [
        (
            "plan",
            lambda chain: PlanRequest(analysis=chain["train"].id, ratio=2),
            r"a plan starts from a finished analysis",
        ),
        ("compress", lambda chain: CompressRequest(plan=chain["analyze"].id), r"starts from a finished plan"),
        (
            "plan",
            lambda chain: PlanRequest(analysis="analysis-zzzzzz", ratio=2),
            r"no run 'analysis-zzzzzz'; the newest",
        ),
    ],
)
def test_a_run_of_another_kind(verb: str, wanted: Any, message: str, chain: Chain):
    with pytest.raises(UnknownRun, match=message):
        getattr(workflows, verb)(wanted(chain), chain.workspace, Progress())


def test_other_targets(chain: Chain):
    kept = workflows.plan(PlanRequest(analysis=chain["analyze"].id, keep=3), chain.workspace, Progress())
    assert len(kept.result.keep) == 3
    drop = workflows.plan(PlanRequest(analysis=chain["analyze"].id, max_drop=0.5), chain.workspace, Progress())
    chosen = drop.result.candidates[0]
    assert drop.result.dense.metric.value - chosen.select.metric.value <= 0.5
    count = len(chain.workspace.runs.list())
    for impossible in ({"ratio": 4.5}, {"keep": 5}, {"max_drop": 1.5}):
        with pytest.raises(BadTarget):
            workflows.plan(PlanRequest(analysis=chain["analyze"].id, **impossible), chain.workspace, Progress())
    assert len(chain.workspace.runs.list()) == count, "said before any work, so nothing is recorded"


def test_without_healing(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    request = CompressRequest(plan=chain["plan"].id, heal="none")
    run = workflows.compress(request, chain.workspace, Progress())
    assert run.result.healing is None
    assert run.measured("accuracy", "healed") is None
    assert value(run, "accuracy_ratio", "compressed/dense") == pytest.approx(
        value(run, "accuracy", "compressed") / value(run, "accuracy", "dense")
    )


def test_one_layer_is_kept(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    plan = workflows.plan(PlanRequest(analysis=chain["analyze"].id, keep=1), chain.workspace, Progress())
    run = workflows.compress(CompressRequest(plan=plan.id), chain.workspace, Progress())
    assert run.result.kept == plan.result.keep


# --- going on, other models -------------------------------------------------------------------------------------------


class StopAt(Progress):
    """Ctrl-C when so many ticks of all steps together were heard."""

    def __init__(self, ticks: int) -> None:
        super().__init__()
        self.left = ticks

    def advanced(self, step: str, done: int, total: int) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_stopped_training_goes_on_as_if_nothing_had_happened(chain: Chain, tmp_path: Path):
    workspace, request = workspace_in(tmp_path), chain.requests["train"]
    with pytest.raises(KeyboardInterrupt):
        workflows.train(request, workspace, StopAt(20))
    [stopped] = workspace.runs.list()
    assert (stopped.status, stopped.error) == ("cancelled", "stopped by the user")
    resumed = workflows.train(request, workspace, Progress(), resume=True)
    assert (resumed.id, resumed.status, resumed.created) == (stopped.id, "done", stopped.created)
    assert resumed.measurements == chain["train"].measurements
    mine, undisturbed = (
        next(a.sha256 for a in run.artifacts if a.path == "model/model.safetensors")
        for run in (resumed, chain["train"])
    )
    assert mine == undisturbed
    with pytest.raises(UsageError, match=rf"{resumed.id} of this command is finished; there is nothing to resume"):
        workflows.train(request, workspace, Progress(), resume=True)


def test_a_new_encoder_from_scratch(chain: Chain, tmp_path: Path):
    config = tmp_path / "tiny.yaml"
    config.write_text("layers: 2\nwidth: 16\nheads: 2\nvocabulary: 320\nmax_tokens: 16\n")
    request = TrainRequest(model="mine", data=chain.data, from_scratch=str(config), epochs=1)
    run = workflows.train(request, workspace_in(tmp_path), Progress())
    assert run.result.layers == 2
    assert f"--from-scratch {config}" in run.command


def test_a_trained_model_learns_other_classes(chain: Chain, tmp_path: Path):
    lines = chain.data.removeprefix("csv:")
    rows = [
        f"{line.rpartition(',')[0]},class {n % 3}" for n, line in enumerate(Path(lines).read_text().splitlines()[1:])
    ]
    (tmp_path / "three.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    request = TrainRequest(model=chain["train"].id, data=f"csv:{tmp_path / 'three.csv'}", epochs=1)
    run = workflows.train(request, chain.workspace, Progress())
    assert run.result.labels == ["class 0", "class 1", "class 2"]
    assert run.parents == [chain["train"].id]
    chain.workspace.runs.delete(run.id)


def test_a_language_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    workspace, model = workspace_in(tmp_path), str(write_decoder(tmp_path / "decoder"))
    texts = [line.rpartition(",")[0] for line in write_sentences(tmp_path / "s.csv", 240).read_text().splitlines()[1:]]
    joined = [" ".join(texts[start : start + 6]) for start in range(0, 240, 6)]
    (tmp_path / "texts.csv").write_text("text,other\n" + "\n".join(f"{text},x" for text in joined) + "\n")
    data = f"csv:{tmp_path / 'texts.csv'}"
    methods = ("ablation", "gradient")
    wanted = AnalyzeRequest(model=model, data=data, methods=methods, max_tokens=16, batch_size=4, samples=8)
    analysis = workflows.analyze(wanted, workspace, Progress())
    assert (analysis.result.task, analysis.result.metric) == ("language_modeling", "perplexity")
    assert list(analysis.result.scores) == list(methods)
    plan = workflows.plan(PlanRequest(analysis=analysis.id, ratio=2), workspace, Progress())
    assert plan.result.candidates[0].select.metric.value <= min(c.select.metric.value for c in plan.result.candidates)
    run = workflows.compress(CompressRequest(plan=plan.id, epochs=1), workspace, Progress())
    assert run.parents == [plan.id]
    assert run.result.verified.same_text
    assert run.result.healing.epochs
    assert len(run.result.generation.texts) == 3
    assert value(run, "written_tokens", "dense") > 0
    assert 0 <= value(run, "text_distance", f"{'healed' if run.result.healing.best_epoch else 'compressed'}/dense") <= 1
    assert value(run, "perplexity", "compressed") == pytest.approx(
        plan.result.candidates[0].test.metric.value, rel=1e-4
    )
    smaller = workflows.evaluate(EvaluateRequest(model=run.id, data=data, max_tokens=16, seed=9), workspace, Progress())
    assert smaller.splits == run.splits
    assert smaller.result.layers == 2
    subject = "healed" if run.result.healing.best_epoch else "compressed"
    assert value(smaller, "perplexity", "model") == pytest.approx(value(run, "perplexity", subject), rel=1e-4)


def test_the_dense_model_is_not_touched(chain: Chain, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verify, "in_fresh_process", opened_here)
    weights = folder_of(chain, "train") / "model" / "model.safetensors"
    before = hashlib.sha256(weights.read_bytes()).hexdigest()
    workflows.compress(CompressRequest(plan=chain["plan"].id, epochs=1), chain.workspace, Progress())
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == before
    assert parse_model(chain["train"].id).kind == "run"


def test_builders(tmp_path: Path):
    from transformers import AutoModel

    assert len(LayeredModel(AutoModel.from_pretrained(write_encoder(tmp_path / "e", 3)))) == 3
