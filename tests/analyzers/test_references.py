import subprocess
import sys
from pathlib import Path

import pytest

from analyzers.errors import UnknownData, UnknownModel
from analyzers.records import TrainRequest
from analyzers.references import parse_data, parse_model


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("demo:minilm", "demo", "minilm"),
        (" demo:smollm2 ", "demo", "smollm2"),
        ("gpt2", "hub", "gpt2"),
        ("google/bert_uncased_L-2_H-128_A-2", "hub", "google/bert_uncased_L-2_H-128_A-2"),
        ("train-k3v9qd", "run", "train-k3v9qd"),
        ("compression-23kmnp", "run", "compression-23kmnp"),
    ],
)
def test_models(text: str, kind: str, value: str):
    reference = parse_model(text)
    assert (reference.kind, reference.value) == (kind, value)
    assert parse_model(reference.text) == reference


def test_folders_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "small.gguf").touch()
    monkeypatch.chdir(tmp_path)
    assert parse_model("mine").kind == "folder"
    assert parse_model("./mine").kind == "folder"
    assert parse_model(str(tmp_path / "mine")).kind == "folder"
    assert parse_model("gguf:small.gguf").kind == "gguf"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_model("gguf:~/small.gguf").value == str(tmp_path / "small.gguf")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no model was named.*demo:minilm"),
        ("demo:minlm", r"did you mean demo:minilm\?.*demo:smollm2"),
        ("demo:", "demo:minilm"),
        ("minilm", "did you mean demo:minilm"),
        ("hub:gpt2", "allowed are"),
        ("./nowhere", "no folder"),
        ("/nowhere/at/all", "no folder"),
        ("two words", "allowed are"),
        ("a/b/c", "allowed are"),
        ("../..", None),
        ("gguf:", "gguf:PATH"),
        ("gguf:nothing.gguf", "no file 'nothing.gguf'"),
    ],
)
def test_unknown_models(text: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    if said is None:
        assert parse_model(text).kind == "folder"
        return
    with pytest.raises(UnknownModel, match=said):
        parse_model(text)


def test_a_file_is_no_model_folder(tmp_path: Path):
    path = tmp_path / "small.gguf"
    path.touch()
    with pytest.raises(UnknownModel, match=f"write gguf:{path}"):
        parse_model(str(path))


def test_near_file(tmp_path: Path):
    (tmp_path / "reviews.csv").touch()
    with pytest.raises(UnknownData, match=r"did you mean .*/reviews\.csv\?"):
        parse_data(f"csv:{tmp_path}/review.csv")


def test_columns_are_part_of_the_reference(tmp_path: Path):
    path = tmp_path / "reviews.csv"
    path.touch()
    text = f"csv:{path}?text=the%20body&label=stars&group=review_id"
    reference = parse_data(text)
    assert (reference.kind, reference.value) == ("csv", str(path))
    assert (reference.text_column, reference.label_column, reference.group_column) == (
        "the body",
        "stars",
        "review_id",
    )
    assert reference.text == text
    assert text in TrainRequest(model="gpt2", data=text).command()


def test_a_question_mark_in_a_file_name(tmp_path: Path):
    path = tmp_path / "really?.csv"
    path.touch()
    assert parse_data(f"csv:{path}").value == str(path)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("demo:amazon", "demo", "amazon"),
        ("demo:NYT", "demo", "nyt"),
        ("amazon:electronics", "amazon", "Electronics"),
        ("hf:stanfordnlp/imdb", "hf", "stanfordnlp/imdb"),
    ],
)
def test_data(text: str, kind: str, value: str):
    reference = parse_data(text)
    assert (reference.kind, reference.value, reference.text) == (kind, value, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no data set was named.*csv:PATH"),
        ("demo:amzon", r"did you mean demo:amazon\?.*demo:tweets"),
        ("amazon", "did you mean demo:amazon"),
        ("amazon:Electronic", "did you mean amazon:Electronics"),
        ("amazon:../../etc", "there are"),
        ("cvs:rows.csv", "did you mean csv:rows.csv"),
        ("rows.csv", "did you mean csv:rows.csv"),
        ("csv:", "no file"),
        ("csv:nothing.csv", "no file 'nothing.csv'"),
        ("jsonl:nothing.jsonl?text=a", "no file 'nothing.jsonl'"),
        ("csv:.", "is a folder"),
        ("hf:two words", "hf:ORG/NAME"),
        ("demo:amazon?text=a", "has the option 'text=a'.*none"),
        ("hf:imdb?colour=red", "text=.*, label=.*, group=.*, config="),
        ("hf:imdb?body", "has the option 'body='.*text="),
        ("hf:imdb?text=", "has the option 'text='"),
    ],
)
def test_unknown_data(text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownData, match=said):
        parse_data(text)


def test_reading_a_reference_imports_nothing_heavy():
    heavy = "torch transformers pandas datasets pyarrow huggingface_hub sklearn"
    code = (
        "import sys; from analyzers.references import parse_data, parse_model; parse_model('gpt2'); "
        f"parse_data('hf:imdb'); print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
