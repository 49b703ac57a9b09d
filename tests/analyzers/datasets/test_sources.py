import json
import re
from pathlib import Path

import pytest

from analyzers.assets import ASSETS
from analyzers.datasets import load, sources
from analyzers.datasets.splits import split
from analyzers.errors import AssetUnavailable, DataError, UnknownData
from analyzers.progress import Progress
from analyzers.references import parse_data

LINES = [
    "1_1\t2.5\tso good &amp; cheap",
    "1_2\t0.5\tjust positive",
    "1_3\t0.49\tneither",
    "2_1\t-0.5\tjust negative",
    "3\t-3\tso bad",
]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "vader"
    folder.mkdir()
    for member in ASSETS["vader"].members:
        (folder / member).write_bytes("\r\n".join([*LINES, ""]).encode())
    return tmp_path


def test_all_sources():
    assert [source.kind for source in sources()] == ["demo", "amazon", "csv", "hf", "jsonl", "parquet"]


@pytest.mark.parametrize("name", ["amazon", "movie", "nyt", "tweets"])
def test_demo(name: str, cache: Path):
    dataset = load(parse_data(f"demo:{name}"), cache, Progress())
    assert dataset.labels == ("negative", "positive")
    assert [(example.text, example.label, example.group) for example in dataset.examples] == [
        ("so good & cheap", 1, "1"),
        ("just positive", 1, "1"),
        ("just negative", 0, "2"),
        ("so bad", 0, "3"),
    ]


def test_demo_without_labels_keeps_every_text(cache: Path):
    dataset = load(parse_data("demo:nyt"), cache, Progress(), labelled=False)
    assert len(dataset.examples) == 5
    assert {example.label for example in dataset.examples} == {None}
    assert dataset.labels == ()


def test_damaged_demo_file(cache: Path):
    (cache / "vader" / "tweets_GroundTruth.txt").write_text("1\t2.5\tgood\n2\tbroken\n")
    with pytest.raises(DataError, match=r"line 2 of .*tweets_GroundTruth.txt is damaged"):
        load(parse_data("demo:tweets"), cache, Progress())


def review(stars: float, title: str = "title", text: str = "text") -> str:
    return json.dumps({"rating": stars, "title": title, "text": text, "user_id": "u", "parent_asin": f"p{stars}"})


def test_amazon_from_a_local_copy(tmp_path: Path):
    (tmp_path / "amazon").mkdir()
    path = tmp_path / "amazon" / "Electronics.jsonl"
    lines = [review(1.0), review(2.0), review(3.0), review(4.0), review(5.0, "", "a<br />b"), review(5.0, "", "")]
    path.write_text("\n".join(lines))
    dataset = load(parse_data("amazon:electronics"), tmp_path, Progress())
    assert [example.label for example in dataset.examples] == [0, 0, 1, 1]
    assert dataset.examples[0].text == "title\ntext"
    assert dataset.examples[3].text == "a b"
    assert len({example.group for example in dataset.examples}) == 4
    assert len(load(parse_data("amazon:Electronics"), tmp_path, Progress(), labelled=False).examples) == 5
    path.write_text(review(1.0) + "\nno json\n")
    with pytest.raises(DataError, match=r"line 2 of .* is no review"):
        load(parse_data("amazon:Electronics"), tmp_path, Progress())


class Hub:
    """In the place of the hub's file system."""

    content = b""

    def open(self, path: str, mode: str, block_size: int):
        import io

        assert path == "datasets/McAuley-Lab/Amazon-Reviews-2023/raw/review_categories/Software.jsonl"
        return io.BytesIO(self.content)


def test_amazon_is_downloaded_once_and_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from analyzers.datasets import amazon

    monkeypatch.setattr(amazon, "REVIEWS", 4)
    monkeypatch.setattr("huggingface_hub.HfFileSystem", Hub)
    Hub.content = "".join(review(stars) + "\n" for stars in (1, 2, 4, 5, 5, 5)).encode()
    assert len(load(parse_data("amazon:Software"), tmp_path, Progress()).examples) == 4
    assert [path.name for path in (tmp_path / "amazon").iterdir()] == ["Software.jsonl"]
    Hub.content = b"broken"
    assert len(load(parse_data("amazon:Software"), tmp_path, Progress()).examples) == 4


def test_amazon_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.HfFileSystem", Hub)
    Hub.content = "".join(review(stars) + "\n" for stars in (1, 2, 4, 5)).encode()

    class Stop(Progress):
        def advanced(self, step: str, done: int, total: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(parse_data("amazon:Software"), tmp_path, Stop())
    assert list((tmp_path / "amazon").iterdir()) == []


def test_amazon_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Nothing:
        def open(self, path: str, mode: str, block_size: int):
            raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.HfFileSystem", Nothing)
    with pytest.raises(AssetUnavailable, match=re.escape(f"put it at {tmp_path}/amazon/Software.jsonl")):
        load(parse_data("amazon:Software"), tmp_path, Progress())


def test_hub_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def info(self, *args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", info)
    with pytest.raises(AssetUnavailable, match=r"the hub is not in reach for hf:stanfordnlp/imdb; .*parquet:PATH"):
        load(parse_data("hf:stanfordnlp/imdb"), tmp_path, Progress())


@pytest.fixture
def hub_parts(monkeypatch: pytest.MonkeyPatch):
    import datasets

    parts: dict[str, datasets.Dataset] = {}
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *args, **kwargs: None)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: datasets.DatasetDict(parts))
    return parts


def test_hub_class_names(hub_parts, tmp_path: Path):
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = {"text": ["a", "b", "c"], "label": [1, 0, -1]}
    hub_parts["test"] = datasets.Dataset.from_dict({"text": ["x"], "label": [0]}, features=features)
    hub_parts["train"] = datasets.Dataset.from_dict(rows, features=features)
    dataset = load(parse_data("hf:some/set"), tmp_path, Progress())
    assert dataset.labels == ("no", "yes")
    assert [(example.text, example.label) for example in dataset.examples] == [("a", 1), ("b", 0)]


def test_hub_without_a_train_part(hub_parts, tmp_path: Path):
    import datasets

    hub_parts["a"] = hub_parts["b"] = datasets.Dataset.from_dict({"text": ["x", "y"], "label": [0, 1]})
    with pytest.raises(DataError, match="has the parts a, b and none called train"):
        load(parse_data("hf:some/set"), tmp_path, Progress())


def test_hub_configuration_missing(hub_parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*args, **kwargs):
        raise ValueError("Config name is missing.\nPlease pick one among: sst2, cola")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(UnknownData, match=r"Config name is missing. Please pick one among: sst2, cola"):
        load(parse_data("hf:nyu-mll/glue"), tmp_path, Progress())


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "texts", "labelled"),
    [("amazon", 3708, 2985), ("movie", 10605, 10072), ("nyt", 5190, 2970), ("tweets", 4200, 3432)],
)
def test_real_demo_sets(name: str, texts: int, labelled: int, tmp_path_factory: pytest.TempPathFactory):
    cache = tmp_path_factory.getbasetemp() / "real-cache"
    reference = parse_data(f"demo:{name}")
    assert len(load(reference, cache, Progress(), labelled=False).examples) == texts
    dataset = load(reference, cache, Progress())
    assert len(dataset.examples) == labelled
    splits = split(dataset, 0)
    reviews = [{example.group for example in part} for part in (splits.train, splits.select, splits.test)]
    assert not reviews[2] & (reviews[0] | reviews[1])
    assert not reviews[0] & reviews[1]
