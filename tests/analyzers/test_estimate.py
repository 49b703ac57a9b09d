"""What an analysis will take: passes are counted as they are made, and time and memory come near."""

import pytest
import torch
from torch import Tensor, nn

from analyzers import estimate
from analyzers.analysis import analyze
from analyzers.estimate import Expected, expect
from analyzers.fidelity import measure_fidelity, typical_sets
from analyzers.importance import choose, methods
from analyzers.importance.engine import Engine
from analyzers.models import Loaded
from analyzers.progress import Progress
from analyzers.tasks import task_of
from analyzers.work import Work, of_sets, tokens
from tests import tiny
from tests.analyzers.test_coalitions import coalitions

LAYERS = 4


class Passed:
    """Tokens that passed all blocks, forwards alone and with gradients."""

    def __init__(self, engine: Engine) -> None:
        self.forwards = self.gradients = 0.0
        # A block that is skipped is called all the same; what is in it is not.
        inner = [
            next(part for part in b.module.modules() if isinstance(part, nn.Linear)) for b in engine.layered.blocks
        ]
        self._layers = len(inner)
        self._handles = [part.register_forward_hook(self._see) for part in inner]

    def _see(self, module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        amount = output.shape[0] * output.shape[1] / self._layers
        if torch.is_grad_enabled():
            self.gradients += amount
        else:
            self.forwards += amount

    def stop(self) -> None:
        for handle in self._handles:
            handle.remove()


def made(language_model: bool, count: int = 16):
    model = tiny.llama(LAYERS) if language_model else tiny.bert(LAYERS, dropout=0.3)
    return tiny.engine(model, tiny.windows(count=count) if language_model else tiny.random_batches(count))


@pytest.mark.parametrize("language_model", [False, True], ids=["bert", "llama"])
@pytest.mark.parametrize("method", [each.id for each in methods() if not (each.reducers or each.gradients)])
def test_passes_are_foretold(method: str, language_model: bool) -> None:
    if language_model and method == "dropout_uncertainty":
        pytest.skip("there is none in a llama")
    engine = made(language_model)
    (chosen,) = choose((method,))
    foretold = chosen.work(engine)
    passed = Passed(engine)
    chosen.score(engine)
    passed.stop()
    assert passed.forwards == pytest.approx(foretold.forwards, rel=0.25, abs=1)
    assert passed.gradients == pytest.approx(foretold.gradients, rel=0.25, abs=1)


def test_passes_of_the_deletion_curves() -> None:
    engine = made(False)
    held_out = coalitions(engine.layered.model, tiny.random_batches(16, seed=1))
    orders = {"one": [0, 1, 2, 3], "other": [3, 1, 0, 2]}
    foretold = sum((of_sets(sets, LAYERS, tokens(held_out.batches)) for sets in typical_sets(2, LAYERS, 1)), Work())
    passed = Passed(engine)
    measure_fidelity(held_out, orders, 0, Progress())
    passed.stop()
    # Of so few layers the sets of one step were often measured in another.
    assert 0.5 < passed.forwards / foretold.forwards <= 1.2


def test_sets_by_hand() -> None:
    everything, first, last = frozenset({0, 1, 2}), frozenset({1, 2}), frozenset({0, 1})
    # Without the first: blocks 1 and 2. Without the last: 0 and 1. All: from where it parts from that, block 2 alone.
    assert of_sets([everything, first, last, first], 3, 30) == Work(forwards=50, heads=90)
    assert of_sets([], 3, 30) == Work()


@pytest.mark.parametrize("language_model", [False, True], ids=["bert", "llama"])
def test_it_is_told_before_anything_is_computed(language_model: bool) -> None:
    model = tiny.llama(LAYERS) if language_model else tiny.bert(LAYERS)
    data = tiny.windows() if language_model else tiny.random_batches(16)
    before, events = tiny.state(model), []

    class Listener(Progress):
        def started(self, step: str, total: int) -> None:
            events.append(step)

    expected: list[Expected] = []

    def tell(found: Expected) -> None:
        assert not events
        expected.append(found)

    found = analyze(
        Loaded(model, tiny.Tokens(), task_of(model)), [data], data, ("fisher", "ablation"), 0, Listener(), tell=tell
    )
    assert expected[0].seconds > 0
    assert 100e6 < expected[0].bytes < 10e9
    tiny.assert_state(model, before)
    assert found == analyze(
        Loaded(model, tiny.Tokens(), task_of(model)), [data], data, ("fisher", "ablation"), 0, Progress()
    )


def test_seconds_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny.batches([[1, 2, 3, 4]] * 24, [0, 1] * 12, 8)
    engine = tiny.engine(tiny.bert(2), data)
    monkeypatch.setattr(estimate, "_seconds", lambda run: 3.2)
    found = expect(engine, choose(("ablation", "fisher")), coalitions(engine.layered.model, data))
    # A token through both blocks takes 0.1 s; the head takes nothing beside them. Ablation: all, 0 skipped (block 1), 1
    # skipped (block 0), all from where it parts from that (block 1): 1.5 times through. Curves and greedy of so few
    # layers: all sets, which are the same three. Fisher: once.
    assert found.seconds == pytest.approx(0.1 * 96 * (1.5 + 1.5 + 1))


def test_a_model_that_cannot_be_timed_is_analyzed_all_the_same() -> None:
    said: list[str] = []

    class Listener(Progress):
        def say(self, text: str) -> None:
            said.append(text)

    def broken(*_: object) -> None:
        if torch.is_grad_enabled():
            raise RuntimeError("no gradients here")

    model, data, told = tiny.bert(LAYERS), tiny.random_batches(16), []
    model.bert.encoder.layer[1].register_forward_hook(broken)
    loaded = Loaded(model, tiny.Tokens(), task_of(model))
    found = analyze(loaded, [data], data, ("ablation", "fisher"), 0, Listener(), tell=told.append)
    assert not told
    assert said[0] == "how long it takes cannot be told: the model raised RuntimeError: no gradients here"
    assert list(found.scores) == ["ablation"]
    why = "the model raised RuntimeError: no gradients here; leave the method out with --methods"
    assert found.failed == {"fisher": why}
