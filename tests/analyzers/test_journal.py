from pathlib import Path

import numpy as np
import pytest

from analyzers.journal import Journal


def test_a_piece_comes_back_as_it_was(tmp_path: Path) -> None:
    values = np.array([[0.1, np.nan], [1e-300, -np.inf]])
    Journal(tmp_path / "work").keep("piece", values=values, names=np.array(["a", "bc"]))
    found = Journal(tmp_path / "work").find("piece")
    assert found is not None
    np.testing.assert_array_equal(found["values"], values)
    assert found["names"].tolist() == ["a", "bc"]
    assert Journal(tmp_path / "work").find("other") is None


def test_without_a_folder_nothing_is_kept() -> None:
    journal = Journal()
    journal.keep("piece", values=np.ones(2))
    assert journal.find("piece") is None
    assert list(journal.names("")) == []


def test_names_are_in_order_and_hide_what_is_not_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for name in ("b-000001", "b-000000", "a-000000"):
        journal.keep(name, values=np.ones(1))
    (tmp_path / ".b-000002.partial").write_bytes(b"half")
    assert list(journal.names("b-")) == ["b-000000", "b-000001"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive at all"])
def test_a_damaged_piece_is_not_there(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "piece.npz").write_bytes(content)
    assert Journal(tmp_path).find("piece") is None


def test_a_full_disk_leaves_no_half_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    with pytest.raises(OSError, match="No space left"):
        Journal(tmp_path).keep("piece", values=np.ones(1))
    assert list(tmp_path.iterdir()) == []


def test_pieces_of_another_computation_are_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "work")
    journal.only_for("first")
    journal.keep("piece", values=np.ones(1))
    journal.only_for("first")
    assert journal.find("piece") is not None
    journal.only_for("second")
    assert journal.find("piece") is None
