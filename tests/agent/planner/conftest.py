from pathlib import Path

import pytest

from tests.agent.planner.conversation import Conversation
from tests.fake_workflows import FakeWorkflows, no_index, workflows
from tests.sample_runs import story
from tools.workspace import Workspace

__all__ = ["no_index", "workflows"]


@pytest.fixture
def workspace(tmp_path: Path, no_index: None) -> Workspace:
    return Workspace(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def talk(workspace: Workspace, workflows: FakeWorkflows) -> Conversation:
    """A conversation in an empty home."""
    return Conversation(workspace)


@pytest.fixture
def later(workspace: Workspace, workflows: FakeWorkflows) -> Conversation:
    """A conversation in a home where everything was done before."""
    for run in story():
        workspace.runs.save(run)
    return Conversation(workspace)
