import subprocess
import sys
from pathlib import Path

import pytest
import torch

from analyzers import scratch
from analyzers.errors import DataError, UsageError

TEXTS = [f"the {thing} is {how}" for thing in ("camera", "player", "phone") for how in ("good", "bad", "Good!")]
CONFIG = "layers: 2\nwidth: 16\nheads: 2\nvocabulary: 320\nmax_tokens: 12\nfeed_forward: 24\ndropout: 0\n"


def config(folder: Path, content: str = CONFIG) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(content)
    return path


def test_the_model_is_as_configured(tmp_path: Path):
    model, tokenizer = scratch.build(config(tmp_path), TEXTS, ("negative", "positive"), seed=0)
    assert type(model).__name__ == "BertForSequenceClassification"
    assert (model.config.num_hidden_layers, model.config.hidden_size, model.config.intermediate_size) == (2, 16, 24)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.config.hidden_dropout_prob == 0
    assert model.bert.embeddings.word_embeddings.num_embeddings == len(tokenizer) <= 320
    inputs = tokenizer(["the camera is good", "bad"], padding=True, return_tensors="pt")
    assert model(**inputs).logits.shape == (2, 2)


def test_the_vocabulary_is_of_the_texts(tmp_path: Path):
    _, tokenizer = scratch.build(config(tmp_path), TEXTS, ("a", "b"), seed=0)
    assert tokenizer.tokenize("The CAMERA is good!") == ["Ġthe", "Ġcamera", "Ġis", "Ġgood", "!"]
    assert tokenizer.decode(tokenizer("日本 x")["input_ids"], skip_special_tokens=True).split() == ["日", "本", "x"]
    ids = tokenizer("good bad")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[CLS]", "Ġgood", "Ġbad", "[SEP]"]
    assert len(tokenizer("good " * 50, truncation=True)["input_ids"]) == 12


def test_saved_and_opened_by_plain_transformers(tmp_path: Path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = scratch.build(config(tmp_path), TEXTS, ("a", "b"), seed=0)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").eval()
    inputs = AutoTokenizer.from_pretrained(tmp_path / "model")(TEXTS, padding=True, return_tensors="pt")
    assert inputs["input_ids"].tolist() == tokenizer(TEXTS, padding=True)["input_ids"]
    assert torch.equal(again(**inputs).logits, model(**inputs).logits)


def test_seeded_and_the_same_in_every_process(tmp_path: Path):
    path = config(tmp_path)
    code = (
        "import sys; from pathlib import Path; from tests.analyzers.test_scratch import *; "
        "m, t = scratch.build(Path(sys.argv[1]), TEXTS, ('a', 'b'), 3); "
        "print(sorted(t.get_vocab().items()), m.classifier.weight.sum().item())"
    )
    root = Path(__file__).parents[2]
    said = subprocess.check_output([sys.executable, "-c", code, str(path)], cwd=root, text=True).strip()
    model, tokenizer = scratch.build(path, TEXTS, ("a", "b"), 3)
    assert said == f"{sorted(tokenizer.get_vocab().items())} {model.classifier.weight.sum().item()}"
    other, _ = scratch.build(path, TEXTS, ("a", "b"), 4)
    assert not torch.equal(model.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (CONFIG + "depth: 3\n", "unknown key 'depth'.*Allowed keys: layers, width, heads, vocabulary"),
        ("layers: 2\nwidth: 16\n", "'heads' is missing; 'vocabulary' is missing"),
        (CONFIG.replace("layers: 2", "layers: 1"), "layers is 1"),
        (CONFIG.replace("layers: 2", "layers: two"), "layers is 'two'"),
        (CONFIG.replace("layers: 2", "layers: 2.5"), "layers is 2.5"),
        (CONFIG.replace("heads: 2", "heads: 3"), "width 16 is not divisible by heads 3"),
        (CONFIG.replace("dropout: 0", "dropout: 1.0"), "dropout is 1.0"),
        (CONFIG.replace("vocabulary: 320", "vocabulary: -1"), "vocabulary is -1"),
        ("", "has no keys"),
        ("- layers\n", "has no keys"),
        ("layers: [2\n", r"is not YAML \(line 2\)"),
    ],
)
def test_bad_configurations(content: str, said: str, tmp_path: Path):
    with pytest.raises(UsageError, match=said) as caught:
        scratch.read_config(config(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_no_configuration(tmp_path: Path):
    with pytest.raises(UsageError, match=r"cannot read .*nothing\.yaml: No such file"):
        scratch.read_config(tmp_path / "nothing.yaml")


def test_no_words(tmp_path: Path):
    with pytest.raises(DataError, match="no words"):
        scratch.build(config(tmp_path), ["", " "], ("a", "b"), 0)
