"""A report in the format, the language and, as far as the chat may write there, the place that were asked for."""

from typing import Any

import pytest

from agent.planner.reading import read
from tests.agent.planner.conversation import Conversation


@pytest.mark.parametrize(
    ("message", "asked", "command"),
    [
        ("write a report on plan-4c4c4c to /tmp/x/r.html", {"format": "html"}, "layerwise report plan-4c4c4c --out /tmp/x/r.html`"),
        ("write the report on compression-5d5d5d to /tmp/x/my.md in Chinese", {"format": "md", "language": "zh"}, "layerwise report compression-5d5d5d --out /tmp/x/my.md --language zh`"),
        ("save a report on plan-4c4c4c as my-report.pdf", {"format": "pdf"}, "layerwise report plan-4c4c4c --out my-report.pdf`"),
        ("把 plan-4c4c4c 的报告保存到 /tmp/x/r.json", {"format": "json", "language": "zh"}, "layerwise report plan-4c4c4c --out /tmp/x/r.json --language zh`"),
        ("写一份 plan-4c4c4c 的报告到 /tmp/x/r.html，用英文", {"format": "html"}, "layerwise report plan-4c4c4c --out /tmp/x/r.html`"),
    ],
)  # fmt: skip
def test_a_path_is_answered_with_the_command(
    later: Conversation, message: str, asked: dict[str, Any], command: str
) -> None:
    answer = later.say(message)
    assert later.names == ["write_report"]
    arguments = later.arguments("write_report")
    assert {name: value for name, value in arguments.items() if name != "runs"} == asked
    assert command in answer
    assert str(later.workspace.reports) in answer
    assert later.unsupported() == []
    assert read(message).slots.models == ()


@pytest.mark.parametrize(
    ("message", "language"),
    [
        ("write a report in Chinese", "zh"),
        ("write a Chinese report", "zh"),
        ("write a report in English", None),
        ("write a report", None),
        ("写一份报告", "zh"),
        ("生成英文报告", None),
        ("用英文写一份报告", None),
        ("写一份中文报告", "zh"),
    ],
)
def test_the_language_of_a_report(later: Conversation, message: str, language: str | None) -> None:
    answer = later.say(message)
    assert later.arguments("write_report").get("language") == language
    assert "layerwise report" not in answer
