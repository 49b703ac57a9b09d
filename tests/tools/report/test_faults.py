"""A report is written whole or not at all, and what stood there before stays."""

from pathlib import Path

import pytest

from analyzers.errors import StorageError
from tests.sample_runs import evaluation_run, story, train_run
from tools import browser
from tools.report import Narrative, write

EVERYTHING = [*story(), evaluation_run()]


def test_a_folder_that_cannot_be_is_said_before_anyone_narrates(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    def never(runs: object, language: object) -> Narrative:
        raise AssertionError("a language model was asked for nothing")

    with pytest.raises(StorageError, match=r"cannot write .*report\.html: (Not a directory|File exists).*--out"):
        write(EVERYTHING, tmp_path / "file" / "report.html", narrator=never)


FULL = OSError(28, "No space left on device")


@pytest.mark.parametrize("suffix", [".html", ".md", ".json", ".pdf"])
def test_a_full_disk_leaves_the_old_report_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: None, suffix: str
) -> None:
    monkeypatch.setattr(browser, "printed", lambda html: html.encode())
    out = write([train_run()], tmp_path / f"report{suffix}")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def full(self: Path, content: object, **how: object) -> int:
        with self.open("wb") as file:
            file.write(b"half of it")
        raise FULL

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match="No space left"):
        write([train_run(), evaluation_run()], out)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_pictures_that_cannot_be_moved_leave_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: None
) -> None:
    out = write([train_run()], tmp_path / "report.md")
    before = out.read_text()

    def full(*places: object) -> None:
        raise FULL

    monkeypatch.setattr("tools.report.markdown.shutil.move", full)
    with pytest.raises(StorageError, match="No space left"):
        write([train_run(), evaluation_run()], out)
    assert out.read_text() == before
    assert [path.name for path in (tmp_path / "report-pictures").iterdir()] == ["training-train-2a2a2a.png"]
