"""A file is there whole or not at all, for readers too."""

from pathlib import Path

import pytest

from analyzers.errors import StorageError
from knowledge.files import whole, write_whole


def test_an_open_reader_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    write_whole(path, b"old")
    with path.open("rb") as reader:
        write_whole(path, b"newer")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"newer"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("problem", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_changes_nothing(tmp_path: Path, problem: type[BaseException]) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def interrupted() -> None:
        with whole(path) as temporary:
            temporary.write_bytes(b"half")
            raise problem

    with pytest.raises(problem):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"cannot write .*file/inside"):
        write_whole(tmp_path / "file" / "inside", b"x")
