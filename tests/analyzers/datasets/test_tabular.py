import json
from pathlib import Path

import pytest

from analyzers.datasets import Dataset, load
from analyzers.errors import DataError, NoLabels, UnknownColumn
from analyzers.progress import Progress
from analyzers.references import parse_data


class Heard(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def read(path: Path, options: str = "", labelled: bool = True, heard: Progress | None = None) -> Dataset:
    kind = path.suffix.lstrip(".")
    return load(parse_data(f"{kind}:{path}{options}"), path.parent, heard or Progress(), labelled)


def csv(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "data.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pairs(dataset: Dataset) -> list[tuple[str, str]]:
    return [(example.text, dataset.labels[example.label]) for example in dataset.examples]


EXPECTED = [("so good", "pos"), ("so bad", "neg"), ("fine, really", "pos")]


def test_the_same_from_each_format(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, labels = zip(*EXPECTED, strict=True)
    (tmp_path / "a.csv").write_text('text,label\nso good,pos\nso bad,neg\n"fine, really",pos\n')
    lines = [json.dumps({"text": text, "label": label}) for text, label in EXPECTED]
    (tmp_path / "a.jsonl").write_text("\n\n".join(lines))
    pq.write_table(pa.table({"text": texts, "label": labels, "vector": [[1.0]] * 3}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        dataset = read(tmp_path / name)
        assert pairs(dataset) == EXPECTED
        assert dataset.labels == ("neg", "pos")


@pytest.mark.parametrize("header", ["Review Text,Stars", "body;rating", "comment\tsentiment", "sentence,target"])
def test_columns_by_common_names(header: str, tmp_path: Path):
    separator = next(each for each in ",;\t" if each in header)
    path = csv(tmp_path, f"{header}\nso good{separator}5\nso bad{separator}1\n")
    assert pairs(read(path)) == [("so good", "5"), ("so bad", "1")]


def test_columns_by_what_they_hold(tmp_path: Path):
    rows = "\n".join(f"{n},words number {n},{'ab'[n % 2]}" for n in range(8))
    dataset = read(csv(tmp_path, f"n,what,kind\n{rows}\n"))
    assert dataset.labels == ("a", "b")
    assert dataset.examples[3].text == "words number 3"


def test_columns_by_name_win(tmp_path: Path):
    path = csv(tmp_path, "text,label,title,stars\nx,1,so good,5\ny,0,so bad,1\n")
    assert pairs(read(path, "?text=title&label=stars")) == [("so good", "5"), ("so bad", "1")]


def test_unknown_column_names_the_ones_that_exist(tmp_path: Path):
    path = csv(tmp_path, "text,label\na,1\nb,0\n")
    for option in ("text=body", "label=body", "group=body"):
        with pytest.raises(UnknownColumn, match=r"no column 'body' in .*; there are: text, label"):
            read(path, f"?{option}")


def test_several_columns_may_be_the_text(tmp_path: Path):
    path = csv(tmp_path, "pros,cons,label\nso good,so bad,1\nall fine,too slow,0\n")
    with pytest.raises(UnknownColumn, match=r"several columns .* could be the text; name it with .text=COLUMN"):
        read(path)


def test_several_columns_may_be_the_label(tmp_path: Path):
    rows = "\n".join(f"text {n},{n % 2},{n % 3}" for n in range(12))
    with pytest.raises(UnknownColumn, match="could be the label: one, two"):
        read(csv(tmp_path, f"text,one,two\n{rows}\n"))


def test_no_label(tmp_path: Path):
    path = csv(tmp_path, "text\nso good\nso bad\n")
    with pytest.raises(NoLabels, match="looks like a label"):
        read(path)
    dataset = read(path, labelled=False)
    assert [example.label for example in dataset.examples] == [None, None]
    assert dataset.labels == ()


def test_ratings_stay_classes_in_the_order_of_numbers(tmp_path: Path):
    path = csv(tmp_path, "text,rating\na,10\nb,9.0\nc,1\nd,9\n")
    dataset = read(path)
    assert dataset.labels == ("1", "9", "10")
    assert [example.label for example in dataset.examples] == [2, 1, 0, 1]


def test_labels_that_look_like_nothing(tmp_path: Path):
    dataset = read(csv(tmp_path, "text,label\na,NA\nb,null\nc,\n"))
    assert pairs(dataset) == [("a", "NA"), ("b", "null")]


def test_empty_texts_are_left_out_and_counted(tmp_path: Path):
    heard = Heard()
    dataset = read(csv(tmp_path, "text,label\ngood,1\n,1\n   ,0\nbad,0\n"), heard=heard)
    assert [example.text for example in dataset.examples] == ["good", "bad"]
    assert "left out 2 rows with an empty 'text'" in heard.lines


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no rows"),
        ("text,label\n", "no rows"),
        ("text,label\n,1\n ,0\n", "all texts of .* are empty"),
        ("text,label\na,1\nb,1\n", r"one class only \('1'\)"),
        ("text,label\na,\nb,\n", "no rows"),
        ("text,label\n" + "".join(f"text {n},{n}\n" for n in range(101)), "101 different values, which is no label"),
        (b"text,label\ncaf\xe9,1\nb,0\n", "not UTF-8 .byte 0xe9.; convert it"),
        ("text,label\na,1\nb,0,1,2\n", "not a CSV file: .*line 3"),
        ("text,label\na,b,1\nc,d,0\n", "more fields than its header"),
    ],
)
def test_bad_csv(content, said: str, tmp_path: Path):
    with pytest.raises(DataError, match=said) as caught:
        read(csv(tmp_path, content))
    assert str(caught.value).count("\n") == 0


def test_a_hundred_classes_are_allowed(tmp_path: Path):
    rows = "".join(f"text {n},{n % 100}\n" for n in range(200))
    assert len(read(csv(tmp_path, f"text,label\n{rows}")).labels) == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a", "label": 1}\n{"text": "b", \n', "line 2 of .* is not JSON"),
        ('{"text": "a"}\n\n["b"]\n', "line 3 of .* is not an object"),
        ("[" * 100_000, "line 1 of .* is not JSON"),
        ("", "no rows"),
    ],
)
def test_bad_jsonl(content: str, said: str, tmp_path: Path):
    (tmp_path / "data.jsonl").write_text(content)
    with pytest.raises(DataError, match=said):
        read(tmp_path / "data.jsonl")


def test_bad_encoding_in_jsonl(tmp_path: Path):
    (tmp_path / "data.jsonl").write_bytes(b'{"text": "caf\xe9", "label": 1}\n')
    with pytest.raises(DataError, match="not UTF-8"):
        read(tmp_path / "data.jsonl")


def test_bad_parquet(tmp_path: Path):
    (tmp_path / "data.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read(tmp_path / "data.parquet")


def test_types_of_json(tmp_path: Path):
    rows = [{"text": "a", "label": True}, {"text": "b", "label": False}, {"text": "c", "label": None}, {"text": 7}]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert pairs(read(tmp_path / "data.jsonl")) == [("a", "true"), ("b", "false")]


def test_half_a_surrogate_pair(tmp_path: Path):
    (tmp_path / "data.jsonl").write_text('{"text": "a\\ud800", "label": 1}\n{"text": "b", "label": 0}\n')
    assert read(tmp_path / "data.jsonl").examples[0].text == "a?"


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_million_characters(kind: str, tmp_path: Path):
    long = "word " * 200_000
    path = tmp_path / f"data.{kind}"
    if kind == "csv":
        path.write_text(f'text,label\n"{long}",1\nshort,0\n')
    else:
        path.write_text(json.dumps({"text": long, "label": 1}) + '\n{"text": "short", "label": 0}\n')
    dataset = read(path)
    assert len(dataset.examples[0].text) == 999_999
    assert len(dataset.examples[0].group) < 100


def test_groups_by_name_and_by_prefix(tmp_path: Path):
    rows = "".join(f"{n // 3},text {n},{n % 2}\n" for n in range(30))
    by_name = read(csv(tmp_path, f"review_id,text,label\n{rows}"))
    assert [example.group for example in by_name.examples[:4]] == ["0", "0", "0", "1"]
    rows = "".join(f"{n // 3}_{n % 3},text {n},{n % 2}\n" for n in range(30))
    by_prefix = read(csv(tmp_path, f"id,text,label\n{rows}"))
    assert [example.group for example in by_prefix.examples] == [str(n // 3) for n in range(30)]
    named = read(csv(tmp_path, f"id,text,label\n{rows}"), "?group=label")
    assert {example.group for example in named.examples} == {"0", "1"}


def test_ids_that_do_not_group(tmp_path: Path):
    rows = "".join(f"row_{n},text {n},{n % 2}\n" for n in range(30))
    dataset = read(csv(tmp_path, f"id,text,label\n{rows}"))
    assert len({example.group for example in dataset.examples}) == 30


def test_copies_of_a_text_are_one_group(tmp_path: Path):
    dataset = read(csv(tmp_path, "text,label\nSo  good,1\nso good,1\nso bad,0\n"))
    first, second, third = (example.group for example in dataset.examples)
    assert first == second != third
