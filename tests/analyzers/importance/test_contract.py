"""What holds for every method, those to come included."""

import math
import sys

import pytest
import torch

from analyzers.errors import Cancelled, NotFinite, UnknownMethod
from analyzers.importance import choose, importance_method, methods, registry
from analyzers.progress import Progress
from tests import tiny

IDS = [method.id for method in methods()]
LAYERS = 3
WITHOUT_DROPOUT = {"dropout_uncertainty"}  # refuses a model without it, as the tiny llama
WITHOUT_PASSES = {"spectral"}  # looks at the weights alone


def measured(method: str, model, language_model: bool, seed: int = 0):
    data = tiny.windows() if language_model else tiny.random_batches(16)
    engine = tiny.engine(model, data, seed)
    (chosen,) = choose((method,))
    return chosen.score(engine)


@pytest.mark.parametrize("language_model", [False, True], ids=["bert", "llama"])
@pytest.mark.parametrize("method", IDS)
def test_contract(method: str, language_model: bool):
    if language_model and method in WITHOUT_DROPOUT:
        pytest.skip("refuses a model without dropout, see its own tests")
    model = tiny.llama(LAYERS) if language_model else tiny.bert(LAYERS, dropout=0.3)
    plain = measured(method, model, language_model)
    assert [score.layer for score in plain] == list(range(LAYERS))
    for score in plain:
        assert all(math.isfinite(value) for value in (score.value, score.low, score.high))
        assert score.low <= score.value <= score.high
    assert len({score.value for score in plain}) == LAYERS

    model.train()  # whatever mode and gradients it comes with, scores are of the model without dropout
    model.get_input_embeddings().weight.requires_grad_(False)
    before = tiny.state(model)
    torch.rand(3)
    assert measured(method, model, language_model) == plain
    tiny.assert_state(model, before)


@pytest.mark.parametrize("method", [each for each in IDS if each not in WITHOUT_PASSES])
def test_a_model_that_raises_is_left_as_it_was(method: str):
    model = tiny.bert(LAYERS, dropout=0.3).train()

    def broken(*_):
        raise RuntimeError("broken")

    handle = model.bert.encoder.layer[1].register_forward_hook(broken)
    before = tiny.state(model)
    with pytest.raises(RuntimeError, match="broken"):
        measured(method, model, False)
    tiny.assert_state(model, before)
    handle.remove()


@pytest.mark.parametrize("method", IDS)
def test_can_be_cancelled(method: str):
    engine = tiny.engine(tiny.bert(LAYERS, dropout=0.3), tiny.random_batches())
    engine.progress.cancel()
    with pytest.raises(Cancelled):
        choose((method,))[0].score(engine)


@pytest.mark.parametrize("method", IDS)
def test_a_nan_is_an_error_that_says_what_to_do(method: str):
    model = tiny.bert(LAYERS, dropout=0.3)
    model.bert.encoder.layer[1].output.dense.weight.data[0] = float("nan")
    with pytest.raises(NotFinite, match=r"; .*: "):  # what was met; what is needed: what to do
        measured(method, model, False)


@pytest.mark.parametrize("method", methods(), ids=IDS)
def test_is_described(method):
    assert method.title
    assert method.unit
    assert method.cost
    assert method.source.startswith("https://")
    assert method.summary.endswith(".")


def test_all_methods_are_found():
    assert {"ablation", "conductance", "fisher", "gradient", "mutual_information", "shap"} <= set(IDS)
    assert sorted(IDS) == IDS
    assert choose(("all",)) == choose(("fisher", "all")) == methods()
    assert [method.id for method in choose(("shap", "fisher", "shap"))] == ["shap", "fisher"]


def test_unknown_method():
    with pytest.raises(UnknownMethod) as caught:
        choose(("fisher", "fischer"))
    assert str(caught.value) == f"no importance method 'fischer'; there are: {', '.join(IDS)}, main or all"


def test_registering(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "_METHODS", {})

    @importance_method("constant", title="Constant", unit="", cost="nothing", source="https://example.org")
    def constant(engine):
        """Every layer alike.

        More.
        """

    assert registry._METHODS["constant"].summary == "Every layer alike."
    assert registry._METHODS["constant"].score is constant


def test_a_package_adds_methods_by_an_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path):
    """As an installed package does: a module, and a line in its entry_points.txt."""
    package = tmp_path / "their_package"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import numpy as np\n"
        "from analyzers.importance import importance_method\n"
        "@importance_method('theirs', title='Theirs', unit='steps', cost='nothing', source='https://example.org')\n"
        "def theirs(engine):\n"
        '    """Depth of the block."""\n'
        "    return engine.scores('theirs', np.arange(len(engine.layered))[None, :].astype(float))\n"
    )
    metadata = tmp_path / "their_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[layerwise.importance]\ntheirs = their_package\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    registry.methods.cache_clear()
    try:
        assert [method.id for method in methods()] == sorted([*IDS, "theirs"])
        (theirs,) = choose(("theirs",))
        assert (theirs.summary, theirs.main) == ("Depth of the block.", False)
        scores = theirs.score(tiny.engine(tiny.bert(LAYERS), tiny.random_batches()))
        assert [score.value for score in scores] == [0, 1, 2]
    finally:
        registry.methods.cache_clear()
        sys.modules.pop("their_package", None)


def test_main_is_the_six_of_the_study():
    six = ["ablation", "conductance", "fisher", "gradient", "mutual_information", "shap"]
    assert [method.id for method in choose(("main",))] == six


def test_few_examples_for_methods_that_cost_much_for_each():
    engine = tiny.engine(tiny.llama(), tiny.windows(count=20))
    assert engine.examples == 20
    assert engine.game.examples == engine.rows.game == 4
    assert engine.coalitions.examples == 20
    few = tiny.engine(tiny.llama(), tiny.windows(count=3))
    assert few.game is few.coalitions


def test_progress_is_told():
    steps = []

    class Heard(Progress):
        def started(self, step, total):
            steps.append((step, total))

    engine = tiny.engine(tiny.bert(LAYERS), tiny.random_batches())  # 3 batches
    engine.progress = Heard()
    for method in choose(("fisher", "ablation", "gradient")):
        method.score(engine)
    assert steps == [("gradients of each example", 3), ("ablation", 3)]
