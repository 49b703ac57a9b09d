"""Which files the page reads: any that the owner of the machine names, few that a visitor does."""

from pathlib import Path

import pytest

from agent.settings import Settings
from agent.ui.page import Page
from agent.ui.reach import allowed, data_reference, model_reference
from analyzers.errors import UnknownData, UsageError
from analyzers.records import CompressRequest, Request, TrainRequest
from analyzers.requests import ExportRequest


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.csv").write_text("text,label\na,b\n")
    (folder / "config.json").write_text("{}")
    return folder


def page(home: Path, *users: str) -> Page:
    settings = Settings(home=home, llm="offline")
    return Page.of(settings, settings.workspace(), users)


def test_the_owner_names_any_file(outside: Path, tmp_path: Path):
    owner = page(tmp_path / "home")
    assert data_reference(f" csv:{outside / 'secret.csv'} ", owner) == f"csv:{outside / 'secret.csv'}"
    assert model_reference(str(outside), owner) == str(outside)


def test_a_visitor_names_what_lies_in_the_home_or_where_the_server_was_started(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "link.csv").symlink_to(outside / "secret.csv")
    (tmp_path / "home" / "own.csv").write_text("text,label\na,b\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    visited = page(tmp_path / "home", "ann")
    for named in (
        outside / "secret.csv",
        tmp_path / "home" / ".." / "outside" / "secret.csv",
        tmp_path / "home" / "link.csv",
    ):
        with pytest.raises(UsageError, match="outside of what this page may read"):
            data_reference(f"csv:{named}", visited)
    for folder in (str(outside), "../outside"):
        with pytest.raises(UsageError, match="outside of what this page may read"):
            model_reference(folder, visited)
    assert data_reference(f"csv:{tmp_path / 'home' / 'own.csv'}", visited)
    assert data_reference("demo:amazon", visited) == "demo:amazon"
    assert model_reference("demo:minilm", visited) == "demo:minilm"
    with pytest.raises(UnknownData, match="no file"):
        data_reference("csv:nowhere.csv", visited)


def test_no_way_around_by_another_field_of_a_request(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    secret = str(outside / "secret.csv")
    requests: list[Request] = [
        TrainRequest(model="demo:minilm", data=f"csv:{secret}"),
        TrainRequest(model="small", data="demo:amazon", from_scratch=secret),
        CompressRequest(plan="plan-4c4c4c", heal_data=(f"csv:{secret}",)),
        ExportRequest(model="demo:smollm2", format="hf", output=str(outside / "new")),
    ]
    for request in requests:
        with pytest.raises(UsageError, match="outside of what this page may read"):
            allowed(request, page(tmp_path / "home", "ann"))
        allowed(request, page(tmp_path / "home"))


def test_a_refusal_does_not_tell_what_lies_beside_the_file(outside: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        data_reference(f"csv:{outside / 'secrets.csv'}", page(tmp_path / "home", "ann"))
    assert "secret.csv" not in str(refused.value)
