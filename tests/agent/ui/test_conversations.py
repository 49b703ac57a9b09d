"""Who may see which conversation, and what a visitor chose."""

import time
from pathlib import Path

import pytest

from agent.settings import Settings
from agent.ui.conversations import KEPT, Conversations
from agent.ui.page import Page
from agent.ui.preferences import Preferences
from agent.ui.starters import starters
from analyzers.errors import UsageError
from tests.fake_workflows import no_index
from tests.sample_runs import analysis_run, compression_run, plan_run, train_run

__all__ = ["no_index"]


def page(tmp_path: Path, *users: str) -> Page:
    settings = Settings(home=tmp_path / "home", cache=tmp_path / "cache", llm="offline")
    return Page.of(settings, settings.workspace(), users)


def say(conversations: Conversations, visitor: str, text: str = "hello") -> str:
    conversation = conversations.new(visitor)
    conversation.send(text)
    limit = time.monotonic() + 30
    while conversation.busy:
        assert time.monotonic() < limit
        time.sleep(0.01)
    return conversation.session


def test_visitors_who_sign_in_see_their_own_sessions(tmp_path: Path, no_index: None) -> None:
    conversations = page(tmp_path, "alice", "bob").conversations
    session = say(conversations, "alice", "hello walrus")
    for each in (conversations, page(tmp_path, "alice", "bob").conversations):  # also after a restart
        assert [found.id for found in each.listed("alice", "walrus")] == [session]
        assert each.newest("alice").session == session
        assert each.listed("bob") == []
        assert each.listed("bob", "walrus") == []
        assert each.newest("bob").session != session
        with pytest.raises(UsageError, match="no session"):
            each.open(session, "bob")
        with pytest.raises(UsageError, match="no session"):
            each.delete(session, "bob")
        with pytest.raises(UsageError, match="no session"):
            each.rename(session, "mine", "bob")
    assert [found.title for found in conversations.listed("alice")] == ["hello walrus"]


def test_without_users_whoever_reaches_the_page_sees_all(tmp_path: Path, no_index: None) -> None:
    session = say(page(tmp_path, "alice").conversations, "alice")
    assert [found.id for found in page(tmp_path).conversations.listed("")] == [session]


def test_a_session_is_renamed_and_deleted(tmp_path: Path, no_index: None) -> None:
    conversations = page(tmp_path).conversations
    session = say(conversations, "")
    conversations.rename(session, "a walrus", "")
    assert [found.title for found in conversations.listed("")] == ["a walrus"]
    conversations.delete(session, "")
    assert conversations.listed("") == []
    with pytest.raises(UsageError, match="no session"):
        conversations.open(session, "")


def test_no_more_conversations_are_held_than_can_be_read_again(tmp_path: Path, no_index: None) -> None:
    conversations = page(tmp_path).conversations
    for _ in range(KEPT + 5):
        conversations.new("")
    assert len(conversations._open) == KEPT


def test_a_choice_is_remembered_for_who_made_it(tmp_path: Path) -> None:
    preferences = page(tmp_path).preferences
    assert preferences.llm("alice") is None
    preferences.choose_llm("alice", "ollama:x")
    again = Preferences(page(tmp_path).workspace)
    assert (again.llm("alice"), again.llm("bob")) == ("ollama:x", None)
    (tmp_path / "home" / "sessions" / "preferences.json").write_text("[")
    assert again.llm("alice") is None


def test_starters_fit_what_the_home_has(tmp_path: Path, no_index: None) -> None:
    shown = page(tmp_path)
    runs = shown.workspace.runs
    for run, first in (
        (None, "Train minilm"),
        (train_run(), "Analyze train-"),
        (analysis_run(), "Plan analysis-"),
        (plan_run(), "Compress plan-"),
        (compression_run(), "Compare compression-"),
    ):
        if run:
            runs.save(run)
        assert any(text.startswith(first) for text in starters(shown.workspace, shown.say)), first
