"""Settings that a message names reach the tool, in digits and in words."""

from typing import Any

import pytest

from agent.planner.numbers import number
from agent.planner.reading import read
from tests.agent.planner.conversation import Conversation


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", 16), ("0.0005", 0.0005), ("3e-4", 0.0003), ("sixteen", 16), ("twenty", 20), ("thirty-two", 32),
        ("Ninety nine", 99), ("zero point five", 0.5), ("one point two five", 1.25), ("十", 10), ("十六", 16),
        ("三十二", 32), ("九十", 90), ("两", 2), ("零点五", 0.5), ("一点二五", 1.25),
    ],
)  # fmt: skip
def test_a_number(text: str, value: float) -> None:
    assert number(text) == value
    assert read(f"学习率 {text}").slots.learning_rate == value


TRAIN = {"model": "demo:minilm", "data": "demo:amazon"}


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        ("Train minilm on the Amazon demo reviews for two epochs with a learning rate of 0.0005 and batch size thirty-two", {"epochs": 2, "learning_rate": 0.0005, "batch_size": 32}),
        ("train minilm on amazon for twenty one epochs, lr=3e-4, batch_size=8", {"epochs": 21, "learning_rate": 0.0003, "batch_size": 8}),
        ("train minilm on amazon in batches of sixteen", {"batch_size": 16}),
        ("用亚马逊评论训练 minilm，十六轮，学习率 0.0005，批大小三十二", {"epochs": 16, "learning_rate": 0.0005, "batch_size": 32}),
    ],
)  # fmt: skip
def test_the_settings_of_a_training(talk: Conversation, message: str, settings: dict[str, Any]) -> None:
    talk.say(message)
    assert talk.calls == [("train_model", {**TRAIN, **settings})]


def test_a_changed_setting_trains_again(talk: Conversation) -> None:
    talk.say("train minilm on amazon")
    talk.say("with a learning rate of 0.001")
    assert talk.calls == [("train_model", {**TRAIN, "learning_rate": 0.001})]


def test_the_batch_size_of_a_measurement(later: Conversation) -> None:
    later.say("analyze train-2a2a2a with twenty-four samples and batch size four")
    assert later.arguments("analyze_layers") == {
        "model": "train-2a2a2a",
        "data": "demo:amazon",
        "samples": 24,
        "batch_size": 4,
    }
    later.say("evaluate train-2a2a2a with batch size 4")
    assert later.arguments("evaluate_model")["batch_size"] == 4


@pytest.mark.parametrize(
    ("message", "values"),
    [
        ("keep sixteen layers", {"keep": 16}),
        ("prune thirty percent of the layers", {"ratio": 1.4286}),
        ("去掉百分之四十的层", {"ratio": 1.6667}),
        ("把模型压缩到十二层", {"keep": 12}),
        ("threefold faster", {"ratio": 3}),
    ],
)
def test_sizes_in_words(message: str, values: dict[str, Any]) -> None:
    slots = read(message).slots
    assert {name: getattr(slots, name) for name in slots.named} == values
