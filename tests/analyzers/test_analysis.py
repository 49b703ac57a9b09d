from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from analyzers import create_analyzer
from analyzers.analysis import analyze
from analyzers.consensus import agreement, consensus
from analyzers.errors import Cancelled, DataError, NoBlocks, UnknownMethod, UsageError
from analyzers.importance import importance_method, methods, registry
from analyzers.importance.engine import Engine
from analyzers.journal import Journal
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.records import AnalysisResult, LayerScore
from analyzers.tasks import task_of
from tests import tiny
from tests.analyzers.test_coalitions import coalitions

FAST = ("ablation", "fisher", "gradient")


def loaded(model) -> Loaded:
    return Loaded(model, tiny.Tokens(), task_of(model))


def analysis(model=None, chosen=FAST, seed: int = 0, progress: Progress | None = None) -> AnalysisResult:
    model = model or tiny.bert()
    language_model = "CausalLM" in type(model).__name__
    own, held_out = (tiny.windows(seed=s) if language_model else tiny.random_batches(16, seed=s) for s in (0, 1))
    return analyze(loaded(model), [own], held_out, chosen, seed, progress or Progress())


@pytest.mark.parametrize(
    ("build", "task", "metric"),
    [
        (lambda: tiny.bert(dropout=0.3), "classification", "accuracy"),
        (tiny.llama, "language_modeling", "perplexity"),
    ],
)
def test_every_method_together(build, task: str, metric: str):
    result = analysis(build(), ("all",))
    refused = ["dropout_uncertainty"] if build is tiny.llama else []  # it has none
    assert list(result.failed) == refused
    names = [method.id for method in methods() if method.id not in refused]
    assert (result.task, result.metric) == (task, metric)
    assert [layer.index for layer in result.layers] == [0, 1, 2]
    assert list(result.scores) == list(result.units) == list(result.fidelity) == names
    assert all([score.layer for score in scores] == [0, 1, 2] for scores in result.scores.values())
    assert sorted(result.curves) == sorted([*names, "random", "greedy"])
    assert result.agreement == agreement(result.scores)
    assert result.consensus == consensus(result.scores, result.fidelity)
    assert AnalysisResult.model_validate_json(result.model_dump_json()) == result


def test_scores_are_of_the_calibration_sample_and_curves_of_held_out_data():
    model = tiny.bert()
    result = analysis(model, ("ablation",))
    calibration, held_out = (coalitions(model, tiny.random_batches(16, seed=seed)) for seed in (0, 1))
    everything = calibration.everything
    rises = [calibration.mean_loss(everything - {layer}) - calibration.mean_loss(everything) for layer in range(3)]
    assert [score.value for score in result.scores["ablation"]] == pytest.approx(rises)
    for curve in (result.curves["ablation"], result.curves["greedy"]):
        for point in curve:
            assert point.loss == pytest.approx(held_out.mean_loss(everything - set(point.removed)))


def test_the_method_to_believe_has_the_highest_fidelity():
    result = analysis()
    best = max(result.fidelity, key=lambda name: result.fidelity[name].value)
    assert result.believe == (best if result.fidelity[best].value > 0 else None)


def test_none_is_believed_where_none_beats_chance():
    model = tiny.bert()
    for block in model.bert.encoder.layer:  # what a block says is lost in its last norm: every order costs the same
        block.output.LayerNorm.weight.data.zero_()
    assert analysis(model).believe is None


def test_diagnostics():
    result = analysis(chosen=("ablation",))
    assert result.diagnostics["calibration_examples"] == 16
    assert result.diagnostics["held_out_examples"] == 16
    assert (
        result.diagnostics["evaluations"] == 4 + 7
    )  # all, and each without one; on held-out data all sets but the empty


def test_evaluations_of_a_language_model():
    assert analysis(tiny.llama(), ("shap",)).diagnostics["evaluations"] == 8 + 7  # SHAP; deletion curves
    # Ablation reads all windows, SHAP four of them: what one measured is nothing to the other.
    assert analysis(tiny.llama(), ("ablation", "shap")).diagnostics["evaluations"] == 4 + 8 + 7


def test_seeded_and_the_model_is_left_as_it_was():
    model = tiny.bert()
    before = tiny.state(model)
    assert analysis(model, seed=1) == analysis(model, seed=1)
    assert analysis(model, seed=2) != analysis(model, seed=1)
    tiny.assert_state(model, before)


def test_what_cannot_be_analyzed():
    with pytest.raises(UnknownMethod, match="no importance method 'none'"):
        analysis(chosen=("fisher", "none"))
    with pytest.raises(NoBlocks):
        analysis(tiny.bert(layers=1))
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        analysis(progress=progress)


@pytest.fixture
def sure_and_unsure(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Two methods: the order that one gives is the same for every example, that of the other is noise."""
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    methods()  # found before, so that none is found while the two are there

    def give(name: str, noise: float) -> None:
        @importance_method(name, title=name, unit="1", cost="none", source="here")
        def score(engine: Engine) -> list[LayerScore]:
            """What the test wants."""
            dice = np.random.default_rng(engine.examples)
            return engine.scores(name, np.arange(3) + noise * dice.normal(size=(engine.examples, 3)))

    give("sure", 0.0)
    give("unsure", 100.0)
    methods.cache_clear()
    yield "sure", "unsure"
    methods.cache_clear()


def test_each_method_reads_until_its_order_stays(sure_and_unsure: tuple[str, str], tmp_path: Path):
    model = tiny.bert()
    read: list[int] = []

    def samples():
        for size in (8, 16, 32, 64):
            read.append(size)
            yield tiny.random_batches(size)

    def found(names: tuple[str, ...], journal: Journal | None = None) -> AnalysisResult:
        read.clear()
        return analyze(
            loaded(model), samples(), tiny.random_batches(8), names, 0, Progress(), journal, until_steady=True
        )

    both = found(sure_and_unsure, Journal(tmp_path))
    assert {name: each.read for name, each in both.stability.items()} == {"sure": 8, "unsure": 64}
    assert both.diagnostics["calibration_examples"] == 64
    assert both.stability["unsure"].examples is None
    assert found(sure_and_unsure, Journal(tmp_path)) == both, "taken up again"
    found(sure_and_unsure[:1])
    assert read == [8]


def test_methods_that_read_few_examples_read_all_until_their_order_stays():
    sizes = (8, 64)
    calibrations = [tiny.random_batches(size) for size in sizes]
    result = analyze(
        loaded(tiny.bert()), calibrations, tiny.random_batches(8), ("conductance",), 0, Progress(), until_steady=True
    )
    assert result.diagnostics["conductance_examples"] in sizes  # 32 where reading does not grow


WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "good",
    "bad",
    "camera",
    "lens",
    "phone",
    "light",
    "heavy",
    "old",
)


def save(model, folder: Path) -> str:
    """A model as `save_pretrained` writes it, with a tokenizer that knows a few words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {f"{word.strip('[]').lower()}_token": word for word in WORDS[:5]}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    model.save_pretrained(folder)
    return str(folder)


def reviews(path: Path, rows: int = 120) -> str:
    generator = np.random.default_rng(0)
    lines = ["text,label"]
    for row in range(rows):
        words = [*generator.choice(WORDS[7:], 3 + row % 4).tolist(), ("bad", "good")[row % 2]]
        lines.append(f"{' '.join(generator.permutation(words).tolist())} {row},{('negative', 'positive')[row % 2]}")
    path.write_text("\n".join(lines))
    return f"csv:{path}"


def test_from_python(tmp_path: Path):
    model = tiny.bert()
    model.config.id2label = {0: "negative", 1: "positive"}
    model.config.label2id = {"negative": 0, "positive": 1}
    name, data = save(model, tmp_path / "model"), reviews(tmp_path / "reviews.csv")
    analyzer = create_analyzer(name, task_type="classification", modality_type="text", device="cpu")
    result = analyzer.analyze_importance(data, methods=FAST, samples=32)
    assert list(result.scores) == list(FAST)
    assert result.diagnostics["calibration_examples"] == 32
    assert len(result.layers) == 3
    assert result == create_analyzer(name, device="cpu").analyze_importance(data, methods=FAST, samples=32)


def test_a_language_model_from_python(tmp_path: Path):
    name, data = save(tiny.llama(), tmp_path / "model"), reviews(tmp_path / "reviews.csv")
    analyzer = create_analyzer(name, task_type="language_modeling", device="cpu")
    with pytest.raises(DataError, match=r"no text of 32 tokens.*smaller --max-tokens"):
        analyzer.analyze_importance(data, methods=("ablation",))
    result = analyzer.analyze_importance(data, methods=("ablation",), max_tokens=8, samples=10)
    assert (result.metric, result.diagnostics["calibration_examples"]) == ("perplexity", 10)


def test_the_task_must_be_that_of_the_head(tmp_path: Path):
    data = reviews(tmp_path / "reviews.csv")
    encoder, decoder = save(tiny.bert(), tmp_path / "encoder"), save(tiny.llama(), tmp_path / "decoder")
    with pytest.raises(UsageError, match=r"encoder does not do language_modeling; .*task_type='classification'"):
        create_analyzer(encoder, task_type="language_modeling", device="cpu").analyze_importance(data)
    with pytest.raises(UsageError, match=r"decoder does not do classification; .*task_type='language_modeling'"):
        create_analyzer(decoder, device="cpu").analyze_importance(data)


@pytest.mark.parametrize(("task", "modality"), [("regression", "text"), ("classification", "image")])
def test_other_tasks_and_modalities(task: str, modality: str):
    with pytest.raises(UsageError, match=f"no analyzer for '{task}' on '{modality}'; there are: classification and"):
        create_analyzer("demo:minilm", task_type=task, modality_type=modality)


def test_creating_an_analyzer_opens_nothing():
    analyzer = create_analyzer("./nowhere", device="cpu")
    assert (analyzer.model_name, analyzer.device) == ("./nowhere", torch.device("cpu"))
