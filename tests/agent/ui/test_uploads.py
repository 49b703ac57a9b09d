"""Files that are sent: read before they are kept, and never somewhere else than in the home."""

import json
from pathlib import Path

import pandas as pd
import pytest

from agent.settings import Settings
from agent.ui import uploads
from agent.ui.page import Page
from agent.ui.uploads import take_in
from analyzers.errors import DataError, UnknownColumn, UsageError

ROWS = [{"text": f"text {i}", "label": "good" if i % 2 else "bad"} for i in range(30)]


@pytest.fixture
def page(tmp_path: Path) -> Page:
    settings = Settings(home=tmp_path / "home", llm="offline")
    return Page.of(settings, settings.workspace())


def kept(page: Page) -> list[str]:
    folder = page.workspace.home / "data"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_each_kind_is_read_and_kept_under_a_plain_name(page: Page, tmp_path: Path):
    table = pd.DataFrame(ROWS)
    table.to_csv(tmp_path / "..; rm -rf $HOME.csv", index=False)
    (tmp_path / "二.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    table.to_parquet(tmp_path / "three.PARQUET")
    for name in ("..; rm -rf $HOME.csv", "二.jsonl", "three.PARQUET"):
        found = take_in(tmp_path / name, page)
        assert (found.examples, [each.label for each in found.classes]) == (30, ["bad", "good"])
        path = Path(found.data.partition(":")[2])
        assert path.read_bytes() == (tmp_path / name).read_bytes()
        assert path.parent == page.workspace.home / "data"
    assert [name.rpartition("-")[0] for name in kept(page)] == ["rm_-rf_HOME", "three", "二"]


def test_the_same_file_is_kept_once(page: Page, tmp_path: Path):
    pd.DataFrame(ROWS).to_csv(tmp_path / "a.csv", index=False)
    first, second = take_in(tmp_path / "a.csv", page), take_in(tmp_path / "a.csv", page)
    assert first.data == second.data
    assert len(kept(page)) == 1


def test_named_columns_are_part_of_the_reference(page: Page, tmp_path: Path):
    pd.DataFrame([{"body": "a b", "more": f"c {i}", "stars": i % 3} for i in range(30)]).to_csv(
        tmp_path / "a.csv", index=False
    )
    with pytest.raises(UnknownColumn, match=r"no column 'nope' in csv:a.csv"):  # not where it lay for a moment
        take_in(tmp_path / "a.csv", page, "nope")
    assert kept(page) == []
    found = take_in(tmp_path / "a.csv", page, "more", "stars")
    assert found.data.endswith(".csv?text=more&label=stars")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.exe", b"text", "is no data file: send one that ends in .csv, .jsonl or .parquet"),
        ("a", b"text", "is no data file"),
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"PAR1....PAR1", "a.csv is not CSV by its content but a Parquet file"),
        ("a.csv", b"text,label\n\0\0\0", "a.csv is not CSV by its content but binary"),
        ("a.jsonl", b"\x1f\x8b\x08", "a.jsonl is not JSONL by its content but compressed by gzip"),
        ("a.parquet", b"text,label\n", "a.parquet is not Parquet by its content"),
    ],
)
def test_what_is_not_what_its_name_says(page: Page, tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        take_in(tmp_path / name, page)
    assert kept(page) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "text,label\nä b,x\n".encode("latin1"), "is not UTF-8"),
        ("a.jsonl", b'{"text": 1}\n{"text"', "line 2 of a.jsonl is not JSON"),
        ("a.parquet", b"PAR1 and nothing more", "cannot be read as Parquet"),
        ("a.csv", b"text,label\na b,x\nc d,x\n", "one class only"),
    ],
)
def test_what_cannot_be_read_is_not_kept(page: Page, tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as problem:
        take_in(tmp_path / name, page)
    assert str(tmp_path) not in str(problem.value)
    assert kept(page) == []


def test_two_gigabytes(page: Page, tmp_path: Path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(2_000_000_000)  # sparse: takes no place
    with pytest.raises(UsageError, match=r"has 2,000 MB and at most 500 are taken; .* name it there: csv:PATH"):
        take_in(tmp_path / "a.csv", page)
    assert uploads.LARGEST == 500_000_000
