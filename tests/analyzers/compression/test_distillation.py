"""Healing by distillation: the distance from the teacher is what it should be, and it helps or changes nothing."""

import math
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from analyzers import scratch
from analyzers.compression import distillation
from analyzers.compression.adapters import check_four_bits
from analyzers.compression.distillation import Distillation, by_importance, uniform
from analyzers.compression.healer import healed, transferred
from analyzers.compression.healing import Case
from analyzers.compression.surgery import remove_blocks
from analyzers.datasets import Dataset, Example
from analyzers.datasets.splits import split
from analyzers.errors import ModelError
from analyzers.evaluation import losses_of, outcome
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import TrainRequest
from analyzers.tasks import Batch
from analyzers.tasks.classification import Classification
from analyzers.tasks.language_modeling import LanguageModeling
from analyzers.training import train
from tests import tiny
from tests.analyzers.compression.conftest import encoder

KEPT = [0, 2]


class Block(nn.Module):
    """Turns (x, y) by a quarter, or not."""

    def __init__(self, turn: bool) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2, bias=False)
        self.inner.weight.data = torch.tensor([[0.0, -1.0], [1.0, 0.0]]) if turn else torch.eye(2)

    def forward(self, hidden):
        return self.inner(hidden)


class Fixed(nn.Module):
    """Gives the same logits whatever it reads; only its blocks see the input."""

    def __init__(self, logits: list[float], turns: list[bool]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(turn) for turn in turns)
        self.answer = nn.Parameter(torch.tensor(logits))

    def forward(self, input_ids, attention_mask):
        hidden = nn.functional.one_hot(input_ids, 2).float()
        for block in self.blocks:
            hidden = block(hidden)
        return SimpleNamespace(logits=self.answer.expand(len(input_ids), -1))


def fixed_batch() -> Batch:
    ids, mask = torch.tensor([[0, 1, 1]]), torch.tensor([[1, 1, 0]])
    return Batch({"input_ids": ids, "attention_mask": mask}, torch.tensor([0]), torch.tensor([0]))


def distance(teacher: nn.Module, student: nn.Module, kept: list[int], batch: Batch) -> torch.Tensor:
    task = Distillation(Classification(), LayeredModel(teacher), LayeredModel(student), kept)
    return task.losses(student, batch)


def test_what_the_teacher_said_once_is_what_it_says(monkeypatch: pytest.MonkeyPatch):
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(1, tiny.VOCABULARY, (1, 3 + row % 5), generator=generator) for row in range(12)]

    def batch(numbers: list[int]) -> Batch:
        tokens = max(rows[number].shape[1] for number in numbers)
        ends = [(0, tokens - rows[number].shape[1]) for number in numbers]
        ids = [nn.functional.pad(rows[number], end) for number, end in zip(numbers, ends, strict=True)]
        mask = [
            nn.functional.pad(torch.ones_like(rows[number]), end) for number, end in zip(numbers, ends, strict=True)
        ]
        inputs = {"input_ids": torch.cat(ids), "attention_mask": torch.cat(mask)}
        return Batch(inputs, torch.zeros(len(numbers), dtype=torch.long), torch.tensor(numbers))

    model = tiny.bert()
    task = Distillation(
        Classification(), LayeredModel(model), LayeredModel(remove_blocks(model, [1])), [0, 2], [0.3, 0.7]
    )
    asked = []
    monkeypatch.setattr(task, "_asked", lambda each, ask=task._asked: (asked.append(1), ask(each))[1])
    learned = [batch([7, 1, 4]), batch([0, 11, 3, 2])]
    expected = [task.losses(task.student.model, each) for each in learned]
    everything = [batch(list(range(6))), batch(list(range(6, 12)))]
    with monkeypatch.context() as small:
        small.setattr(distillation, "REMEMBERED", 100)
        task.remember(everything, Progress())
    assert not task._known, "more than may be remembered"
    task.remember(everything, Progress())
    asked.clear()
    for each, loss in zip(learned, expected, strict=True):
        torch.testing.assert_close(task.losses(task.student.model, each), loss, rtol=1e-5, atol=1e-6)
    assert loss.std() > 1e-4, "rows differ, or their order would not be tested"
    assert not asked


def test_divergence_by_hand():
    # At temperature 2 the teacher says (1/2, 1/2) and the student (3/4, 1/4); no block turns, so hidden states are equal.
    teacher, student = Fixed([0.0, 0.0], [False] * 3), Fixed([2 * math.log(3), 0.0], [False] * 2)
    kl = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert distance(teacher, student, KEPT, fixed_batch()).tolist() == pytest.approx([4 * kl], abs=1e-6)
    other_way = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert abs(kl - other_way) > 0.01  # or the direction would not be tested


def test_distance_of_hidden_states_by_hand():
    # The student's second block turns by a quarter (1 − cos 90° = 1); the same blocks of the teacher do not turn.
    teacher, student = Fixed([1.0, 2.0], [False] * 3), Fixed([1.0, 2.0], [False, True])
    assert distance(teacher, student, KEPT, fixed_batch()).tolist() == pytest.approx([0.5], abs=1e-6)
    # Block 1 of the teacher turns: what follows it is turned as well, and so is the student's second block.
    assert distance(Fixed([1.0, 2.0], [False, True, False]), student, KEPT, fixed_batch()).tolist() == pytest.approx(
        [0.0], abs=1e-6
    )


def test_padding_does_not_count():
    teacher, student = Fixed([1.0, 2.0], [False] * 2), Fixed([1.0, 2.0], [False, True])
    with torch.no_grad():
        student.blocks[1].inner.weight.copy_(
            torch.tensor([[1.0, 0.0], [0.0, -1.0]])
        )  # turns token 1 by half, not token 0
    short = Batch({"input_ids": torch.tensor([[0, 1]]), "attention_mask": torch.tensor([[1, 0]])}, *fixed_batch_rest())
    assert distance(teacher, student, [0, 1], short).tolist() == pytest.approx([0.0], abs=1e-6)
    short.inputs["attention_mask"][0, 1] = 1
    assert distance(teacher, student, [0, 1], short).tolist() == pytest.approx([(2 / 2) / 2], abs=1e-6)


def fixed_batch_rest() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([0]), torch.tensor([0])


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_nothing_between_a_teacher_and_itself(kind: str, build_encoder, build_decoder, batch):
    teacher = build_encoder() if kind == "encoder" else build_decoder()
    student = remove_blocks(teacher, [])
    task = Classification() if kind == "encoder" else LanguageModeling()
    lesson = Distillation(task, LayeredModel(teacher), LayeredModel(student), [0, 1, 2, 3])
    losses = lesson.losses(student, batch)
    assert losses.shape == (4,)
    assert losses.abs().max() < 1e-5
    pruned = remove_blocks(teacher, [1, 2])
    assert Distillation(task, LayeredModel(teacher), LayeredModel(pruned), [0, 3]).losses(pruned, batch).min() > 0.01


def test_gradients_reach_the_student_alone(build_encoder, batch):
    teacher = build_encoder()
    student = remove_blocks(teacher, [1]).train()
    teacher.train()
    lesson = Distillation(Classification(), LayeredModel(teacher), LayeredModel(student), [0, 2, 3])
    lesson.losses(student, batch).mean().backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert student.bert.encoder.layer[0].attention.self.query.weight.grad.abs().sum() > 0
    assert teacher.training
    assert all(parameter.requires_grad for parameter in teacher.parameters())


def test_scores_and_metric_are_those_of_the_task(build_encoder, batch):
    model = build_encoder()
    lesson = Distillation(Classification(), LayeredModel(model), LayeredModel(model), [0, 1, 2, 3])
    assert (lesson.name, lesson.metric, lesson.higher_is_better) == ("classification", "accuracy", True)
    with torch.no_grad():
        for mine, own in zip(lesson.scores(model, batch), Classification().scores(model, batch), strict=True):
            assert torch.equal(mine, own)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory):
    """An encoder of three layers that tells sentences with "good" from those with "bad"."""
    folder = tmp_path_factory.mktemp("taught")
    config = folder / "tiny.yaml"
    config.write_text("layers: 3\nwidth: 16\nheads: 2\nvocabulary: 320\nmax_tokens: 16\ndropout: 0.0\n")
    dice = random.Random(0)
    examples = []
    for n in range(200):
        words = dice.choices(("plain", "dull", "grey", "slow", "table", "lamp", "road", "stone"), k=dice.randint(2, 8))
        words[dice.randrange(len(words))] = "good" if n % 2 else "bad"
        examples.append(Example(" ".join(words), n % 2, str(n)))
    splits = split(Dataset(tuple(examples), ("negative", "positive"), "sentences"), 0)
    model, tokenizer = scratch.build(config, [example.text for example in splits.train], splits.labels, 0)
    settings = TrainRequest(model="m", data="d", epochs=10, learning_rate=1e-2, patience=10)
    train(model, Classification(), tokenizer, splits, settings, folder, Progress())
    return model, tokenizer, splits


def damaged(model):
    """Two of three blocks, and what is left is shaken."""
    student = remove_blocks(model, [1])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in student.named_parameters():
            if "encoder" in name and parameter.ndim == 2:
                parameter += 0.4 * torch.randn(parameter.shape, generator=generator)
    return student


def heal(taught, student, folder: Path, strategy: str = "distill", **changes):
    model, tokenizer, splits = taught
    settings = TrainRequest(model="m", data="d", **({"epochs": 6, "learning_rate": 1e-2, "patience": 6} | changes))
    dense = LayeredModel(model)
    case = Case(dense, student, KEPT, Classification(), tokenizer, splits, settings, folder, Progress())
    return healed(strategy, case)


def on_select(taught, model):
    _, tokenizer, splits = taught
    batches = Classification().batches(splits.select, tokenizer, 16, 16)
    return outcome(Classification(), losses_of(LayeredModel(model), Classification(), batches))


def test_a_damaged_student_is_healed(taught, tmp_path: Path):
    student = damaged(taught[0])
    before, teacher = on_select(taught, student), on_select(taught, taught[0])
    assert teacher.metric.value > 0.9 > 0.8 > before.metric.value, "nothing to heal"
    weights = {name: value.clone() for name, value in taught[0].state_dict().items()}
    found = heal(taught, student, tmp_path)
    after = on_select(taught, student)
    assert found.strategy == "distill"
    assert found.best_epoch == 1 + max(
        range(len(found.epochs)),
        key=lambda e: (found.epochs[e].select.metric.value, -found.epochs[e].select.loss.value),
    )
    assert after == found.epochs[found.best_epoch - 1].select
    assert after.metric.value > before.metric.value + 0.1
    assert found.epochs[-1].train_loss < found.epochs[0].train_loss
    assert all(torch.equal(weights[name], value) for name, value in taught[0].state_dict().items())
    assert not student.training


def test_the_old_weights_stay_when_no_epoch_helped(taught, tmp_path: Path):
    student = remove_blocks(taught[0], [1])
    if on_select(taught, student).metric.value < 1:
        pytest.fail("the student has to be perfect, so that nothing can help")
    before = {name: value.clone() for name, value in student.state_dict().items()}
    found = heal(taught, student, tmp_path, epochs=2, learning_rate=0.5)
    assert found.best_epoch == 0
    assert len(found.epochs) == 2
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_a_lower_perplexity_is_better(taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same healing, measured by a metric that should fall."""
    student = damaged(taught[0])
    monkeypatch.setattr(Classification, "higher_is_better", False)
    monkeypatch.setattr(Classification, "metric_of", lambda self, loss, weight, hit: float(loss.mean()))
    before = on_select(taught, student)
    found = heal(taught, student, tmp_path)
    assert found.best_epoch
    assert found.epochs[found.best_epoch - 1].select.metric.value < before.metric.value


def test_temperature_and_weight_are_used(monkeypatch: pytest.MonkeyPatch):
    teacher, student = Fixed([1.0, 2.0], [False] * 3), Fixed([1.0, 2.0], [False, True])
    monkeypatch.setattr(distillation, "HIDDEN_WEIGHT", 3.0)
    assert distance(teacher, student, KEPT, fixed_batch()).tolist() == pytest.approx([1.5], abs=1e-6)


def test_weights_of_layers_by_hand():
    # Teacher and student as above: the first block is at distance 0, the second at distance 1.
    teacher, student = Fixed([1.0, 2.0], [False] * 3), Fixed([1.0, 2.0], [False, True])
    lesson = Distillation(Classification(), LayeredModel(teacher), LayeredModel(student), KEPT, (0.2, 0.8))
    assert lesson.losses(student, fixed_batch()).tolist() == pytest.approx([0.8], abs=1e-6)
    assert by_importance([0.5, 9.0, -2.0]) == pytest.approx([2 / 6, 3 / 6, 1 / 6])  # ranks 1, 2, 0: 2, 3, 1 of 6
    assert by_importance([7.0]) == [1.0]
    assert uniform([0.5, 9.0, -2.0, 1.0]) == [0.25] * 4


@pytest.mark.parametrize("strategy", ["lora", "qlora"])
def test_adapters_are_merged(strategy: str, taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import warnings

    pytest.importorskip("peft")
    if strategy == "qlora":
        pytest.importorskip("bitsandbytes")
    student = damaged(taught[0])
    names = list(student.state_dict())
    kinds = [type(part) for part in student.modules()]
    before = on_select(taught, student)
    frozen = {name: value.clone() for name, value in student.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = heal(taught, student, tmp_path, strategy, epochs=4)
    after = on_select(taught, student)
    assert (list(student.state_dict()), [type(part) for part in student.modules()]) == (names, kinds), "it stays plain"
    assert not hasattr(student, "peft_config")
    assert found.best_epoch
    assert after.metric.value > before.metric.value + 0.1
    # What is merged is what was chosen: in 4 bits too.
    chosen = found.epochs[found.best_epoch - 1].select
    assert after.loss.value == pytest.approx(chosen.loss.value, rel=1e-3)
    assert all(parameter.requires_grad for parameter in student.parameters())
    now = student.state_dict()
    changed = {name for name in names if not torch.equal(frozen[name], now[name])}
    assert changed
    assert all("encoder.layer" in name and name.endswith("weight") for name in changed)


def test_four_bits_are_refused_where_they_cannot_be_computed(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("bitsandbytes")
    check_four_bits(encoder())

    def raises(layer: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr("analyzers.compression.quantization.nf4.tried", raises)
    with pytest.raises(ModelError, match=r"cannot hold weights in 4 bits on cpu; .* use --heal lora here"):
        check_four_bits(encoder())


def test_texts_of_other_data(taught):
    _, tokenizer, splits = taught
    known = splits.test[0].text
    found = transferred([Example("A  new text", 1, "a"), Example(known.upper(), 0, "b")], "csv:x", splits)
    assert found == (Example("A  new text", None, "csv:x"),), "what is in a split is not learned from"
    lesson = Distillation(Classification(), LayeredModel(taught[0]), LayeredModel(taught[0]), [0, 1, 2])
    assert len(lesson.batches([*splits.train[:3], *found], tokenizer, 4, 16)[0]) == 4
