"""Reasons come from the numbers of a run and from the notes, and name both, in English and Chinese."""

import re
from pathlib import Path
from typing import Any

import pytest

from analyzers.records import LayerScore
from knowledge.notes import names, note
from tests.agent.planner.conversation import Conversation
from tests.fake_workflows import no_index
from tests.sample_runs import analysis_run
from tools.wording import significant
from tools.workspace import Workspace

__all__ = ["no_index"]

NO_METHODS = ("agreement", "angular_block", "fidelity", "generation", "healing", "plan", "quantization")
METHODS = [name for name in names() if name not in NO_METHODS]
RUN = "analysis-3b3b3b"


@pytest.fixture
def talk(tmp_path: Path, no_index: None) -> Conversation:
    """A conversation in a workspace with an analysis by every method that has a note."""
    run = analysis_run()
    scores = {
        method: [LayerScore(layer=i, value=0.1 * k + 0.01 * i, low=0.1 * k, high=0.2 * k) for i in range(6)]
        for k, method in enumerate(METHODS, start=1)
    }
    result = run.result.model_copy(update={"scores": scores, "units": dict.fromkeys(METHODS, "nats")})
    workspace = Workspace(home=tmp_path / "home", cache=tmp_path / "cache")
    workspace.runs.save(run.model_copy(update={"result": result}))
    return Conversation(workspace)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("method", METHODS)
def test_why_a_layer_matters_by_a_method(talk: Conversation, method: str, language: str) -> None:
    words = method.replace("_", " ")
    asked = f"why is layer 3 important by {words}?" if language == "en" else f"为什么按 {words} 第3层重要？"
    answer = talk.say(asked)
    assert ("explain_method", {"name": method}) in talk.calls
    explained = note(method)
    text = explained.text if language == "en" else explained.text_zh
    assert text.split("\n\n")[0] in answer  # what it means
    assert text.split("\n\n")[-1] in answer  # when it misleads
    assert f"`{method}`" in answer
    assert explained.source in answer
    value = 0.1 * (METHODS.index(method) + 1) + 0.03
    assert significant(value) in answer
    assert RUN in answer
    assert talk.unsupported() == []


@pytest.mark.parametrize("asked", ["the methods disagree, whom do I believe?", "The methods disagree. Which one should I trust?",
                                   "各方法不一致，我该相信谁？", "方法之间有分歧，我应该相信哪个方法？"])  # fmt: skip
def test_whom_to_believe(talk: Conversation, asked: str) -> None:
    answer = talk.say(asked)
    chinese: Any = "相信" in asked
    for name in ("shap", "fidelity", "agreement"):
        assert f"`{name}`" in answer
        assert (note(name).text_zh if chinese else note(name).text).split("\n\n")[-1] in answer
    assert re.search(r"0\.910 \[0\.760 (to|至) 1\.03\]", answer)  # the fidelity of SHAP
    assert "0.740" in answer  # Kendall's W
    assert RUN in answer
    assert talk.unsupported() == []


def test_without_a_method_the_one_with_the_highest_fidelity_is_explained(talk: Conversation) -> None:
    answer = talk.say("why is layer 3 important?")
    assert "`shap`" in answer
    assert talk.names == ["list_runs", "show_run", "explain_method"]
