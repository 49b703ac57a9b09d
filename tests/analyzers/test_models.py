"""Opening models from folders and files, and what is said when one cannot be opened."""

import os
import threading
from pathlib import Path

import pytest
import torch

from analyzers import models
from analyzers.datasets import Example
from analyzers.datasets.splits import Splits
from analyzers.errors import AssetUnavailable, DataError, ModelError, StorageError, UnknownModel
from analyzers.models import Loaded, is_language_model, load, match_labels, pick_device
from analyzers.progress import Progress
from analyzers.references import ModelReference, parse_model
from analyzers.tasks.classification import Classification
from analyzers.tasks.language_modeling import LanguageModeling
from tests.gguf_files import write_gguf

CPU = torch.device("cpu")
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "table"]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    from transformers import BertTokenizerFast

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def classifier(folder: Path, labels: tuple[str, ...] = ("bad", "good")) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    names = dict(enumerate(labels))
    torch.manual_seed(0)
    config = BertConfig(**SIZES, num_labels=len(labels), id2label=names, label2id={v: k for k, v in names.items()})
    BertForSequenceClassification(config).save_pretrained(folder)


def headless(folder: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    BertModel(BertConfig(**SIZES)).save_pretrained(folder)


def opened(folder: Path, **options) -> Loaded:
    return load(parse_model(str(folder)), folder.parent / "cache", CPU, Progress(), **options)


def test_a_folder_with_a_classifier(folder: Path):
    classifier(folder)
    loaded = opened(folder)
    assert isinstance(loaded.task, Classification)
    assert not loaded.model.training
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert loaded.model.config.id2label == {0: "bad", 1: "good"}
    assert loaded.tokenizer("good table")["input_ids"] == [2, 5, 7, 3]


def test_half_precision_is_opened_in_full(folder: Path):
    classifier(folder)
    opened(folder).model.half().save_pretrained(folder)
    assert {parameter.dtype for parameter in opened(folder).model.parameters()} == {torch.float32}


def test_a_folder_with_a_language_model(folder: Path):
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": len(WORDS), "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}
    GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=2, eos_token_id=3)).save_pretrained(folder)
    assert is_language_model(parse_model(str(folder)), folder, Progress())
    loaded = opened(folder, labels=("a", "b"))  # classes of the data do not make it a classifier
    assert isinstance(loaded.task, LanguageModeling)
    assert loaded.model.config.pad_token_id == 0


def test_an_encoder_is_no_language_model(folder: Path):
    headless(folder)
    assert not is_language_model(parse_model(str(folder)), folder, Progress())


def test_no_head(folder: Path):
    headless(folder)
    with pytest.raises(ModelError, match=r"\(BertModel\) has no head .* train one with: layerwise train .*model DATA"):
        opened(folder)


def test_a_new_head_for_the_classes_of_the_data(folder: Path):
    headless(folder)
    one, same, other = (opened(folder, labels=("a", "b", "c"), seed=seed).model for seed in (1, 1, 2))
    assert one.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert one.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert one.classifier.weight.shape == (3, 16)
    assert torch.equal(one.classifier.weight, same.classifier.weight)
    assert not torch.equal(one.classifier.weight, other.classifier.weight)
    query = "bert.encoder.layer.0.attention.self.query.weight"
    assert torch.equal(one.state_dict()[query], other.state_dict()[query])


def test_a_head_for_other_classes_gives_way(folder: Path):
    classifier(folder)
    before = opened(folder).model
    again = opened(folder, labels=("one", "two", "three")).model
    assert again.classifier.weight.shape == (3, 16)
    assert torch.equal(again.bert.pooler.dense.weight, before.bert.pooler.dense.weight)
    assert torch.equal(opened(folder, labels=("no", "yes")).model.classifier.weight, before.classifier.weight)


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("size", [0, 100, 3000])
def test_half_of_the_weights(size: int, folder: Path):
    classifier(folder)
    cut(folder / "model.safetensors", size)
    with pytest.raises(ModelError, match=r"a file of .*model is damaged or not complete .*fetch or make it again"):
        opened(folder)


def test_files_that_are_missing(folder: Path):
    with pytest.raises(UnknownModel, match=r"has no config\.json; a model folder holds config\.json"):
        opened(folder)
    classifier(folder)
    cut(folder / "config.json", 20)
    with pytest.raises(UnknownModel, match=r"cannot be opened: .*config\.json.*is it complete\?"):
        opened(folder)
    classifier(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnknownModel, match=r"no file named model\.safetensors"):
        opened(folder)
    classifier(folder)
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnknownModel, match=r"has no tokenizer; put its .*vocab\.txt into the folder"):
        opened(folder)


def test_a_kind_that_transformers_does_not_know(folder: Path):
    (folder / "config.json").write_text('{"model_type": "no-such-model", "architectures": ["NoSuchForCausalLM"]}')
    with pytest.raises(
        ModelError, match=r"no-such-model.*; allowed are models that this version of transformers knows"
    ):
        opened(folder)


@pytest.mark.parametrize(
    "content", [b"", b"plain text and no model at all", b"GGUF\x03\x00\x00\x00", b"GGUF" + b"\xff" * 60]
)
def test_a_file_that_is_no_gguf(content: bytes, tmp_path: Path):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises((ModelError, UnknownModel), match=r"gguf:.*model\.gguf"):
        load(parse_model(f"gguf:{path}"), tmp_path, CPU, Progress())


def test_the_head_of_a_gguf_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By transformers itself three times, which takes seconds each for a large vocabulary."""
    import gguf

    read: list[str] = []

    class Counting(gguf.GGUFReader):
        def __init__(self, path: str) -> None:
            read.append(path)
            super().__init__(path)

    path = write_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setattr(gguf, "GGUFReader", Counting)
    for times in (1, 2):  # nothing is kept beyond one opening: a file may have changed
        loaded = load(parse_model(f"gguf:{path}"), tmp_path, CPU, Progress())
        assert read == [str(path)] * times
    assert gguf.GGUFReader is Counting
    assert loaded.tokenizer.decode(loaded.tokenizer("hello world")["input_ids"]).endswith("hello world")


def test_two_files_opened_at_once_leave_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The first is still being read when the second is asked for."""
    import gguf

    opened = models._opened
    first_inside, second_inside = threading.Event(), threading.Event()

    def slow(*words, **named):
        if threading.current_thread() is first:
            first_inside.set()
            second_inside.wait(0.3)  # in vain, where they wait for each other
        else:
            second_inside.set()
            first.join()
        return opened(*words, **named)

    monkeypatch.setattr(models, "_opened", slow)
    reader, path = gguf.GGUFReader, write_gguf(tmp_path / "tiny.gguf")

    def open_it() -> None:
        load(parse_model(f"gguf:{path}"), tmp_path, CPU, Progress())

    first, second = threading.Thread(target=open_it), threading.Thread(target=open_it)
    first.start()
    first_inside.wait(30)
    second.start()
    second.join()
    assert gguf.GGUFReader is reader


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub does not answer the first question, and whoever goes on asking fails the test."""
    import huggingface_hub

    def refused(*args, **options):
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refused)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)  # else it asks who is calling
    monkeypatch.setattr("socket.getaddrinfo", lambda *args, **options: pytest.fail("asked again"))


@pytest.mark.parametrize("look", ["load", "is_language_model"])
def test_no_hub_in_reach(look: str, no_hub, tmp_path: Path):
    device = (CPU,) if look == "load" else ()
    with pytest.raises(AssetUnavailable) as caught:
        getattr(models, look)(parse_model("nobody/no-such-model"), tmp_path, *device, Progress())
    message = str(caught.value)
    assert "\n" not in message
    for part in ("nobody/no-such-model", "config.json", "model.safetensors", "tokenizer files", "name that folder"):
        assert part in message


def test_a_cached_model_needs_no_hub(no_hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In the layout of the hub's own cache."""
    classifier(folder)
    cache = tmp_path / "hub"
    stored = cache / "models--nobody--known"
    (stored / "refs").mkdir(parents=True)
    (stored / "refs" / "main").write_text("0" * 40)
    (stored / "snapshots").mkdir()
    folder.rename(stored / "snapshots" / ("0" * 40))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("transformers.utils.hub.constants.HF_HUB_CACHE", str(cache))
    loaded = load(parse_model("nobody/known"), tmp_path, CPU, Progress())
    assert loaded.model.config.num_hidden_layers == 2


def test_the_hub_has_none_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import httpx
    import huggingface_hub
    from huggingface_hub.errors import RepositoryNotFoundError

    def unknown(*args, **options):
        response = httpx.Response(404, request=httpx.Request("GET", "https://huggingface.co"))
        raise RepositoryNotFoundError("404", response=response)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", unknown)
    with pytest.raises(UnknownModel, match="no model 'nobody/none' on the hub, or it is not public"):
        load(parse_model("nobody/none"), tmp_path, CPU, Progress())


def test_disk_full_while_opening(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*args, **options):
        raise OSError(28, os.strerror(28))

    classifier(folder)
    monkeypatch.setattr(models.AutoTokenizer, "from_pretrained", full)
    with pytest.raises(StorageError, match=r"the disk is full while opening .*: make room and try again"):
        opened(folder)


def test_devices():
    assert pick_device("cpu") == CPU
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ModelError, match=r"no device 'tpu' on this machine; there are: .*cpu.*: set LAYERWISE_DEVICE"):
        pick_device("tpu")


def splits_with(*labels: str) -> Splits:
    examples = tuple(Example(f"text {n}", n, str(n)) for n in range(len(labels)))
    return Splits(examples, examples[::-1], examples, labels, {})


def numbers(splits: Splits) -> list[list[int | None]]:
    return [[example.label for example in part] for part in (splits.train, splits.select, splits.test)]


def test_labels_get_the_numbers_of_the_model(folder: Path):
    classifier(folder, ("good", "bad", "so-so"))
    matched = match_labels(splits_with("bad", "good"), opened(folder))
    assert numbers(matched) == [[1, 0], [0, 1], [1, 0]]
    assert matched.labels == ("good", "bad", "so-so")
    assert [example.text for example in matched.select] == ["text 1", "text 0"]


def test_labels_that_were_never_named(folder: Path):
    classifier(folder, ("LABEL_0", "LABEL_1"))
    splits = splits_with("bad", "good")
    assert match_labels(splits, opened(folder)) is splits
    with pytest.raises(DataError):
        match_labels(splits_with("bad", "good", "so-so"), opened(folder))


def test_labels_that_the_model_does_not_know(folder: Path):
    classifier(folder)
    with pytest.raises(DataError, match=r"has the labels bad, fine, the model knows bad, good; .* train on this data"):
        match_labels(splits_with("bad", "fine"), opened(folder))


def test_a_language_model_has_no_labels():
    splits = splits_with("a", "b")
    assert match_labels(splits, Loaded(None, None, LanguageModeling())) is splits


def test_a_folder_reference_keeps_its_text(tmp_path: Path):
    reference = ModelReference(kind="folder", value=str(tmp_path), text="train-2a2a2a")
    with pytest.raises(UnknownModel, match=r"^train-2a2a2a has no config\.json"):
        load(reference, tmp_path, CPU, Progress())


def test_a_model_that_lacks_weights_is_refused_and_not_filled_at_random(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["bert.encoder.layer.1.output.dense.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    for labels in ((), ("x", "y")):
        with pytest.raises(ModelError, match=r"lacks weights \(bert.encoder.layer.1.output.dense.weight\)"):
            load(parse_model(str(tmp_path)), tmp_path, torch.device("cpu"), Progress(), labels=labels)
