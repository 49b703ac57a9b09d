"""What the tools of a turn found, in the words of the templates: the answer where a language model gives none."""

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

from agent.planner.answers import render
from agent.planner.memory import Facts, facts_of
from agent.planner.reading import Language

_OF_A_RUN = {
    "train_model": "trained",
    "analyze_layers": "analyzed",
    "plan_compression": "planned",
    "compress_model": "compressed",
    "evaluate_model": "evaluated",
    "export_model": "exported",
    "show_run": "shown",
}


def retell(messages: Sequence[BaseMessage], language: Language) -> str:
    """Markdown about each result of the turn, once; empty where no tool succeeded.

    Args:
        messages: of the turn, or of the whole conversation.
        language: of the templates.
    """
    sections = []
    for message in messages:
        if isinstance(message, ToolMessage) and message.status == "success":
            found = _templates(str(message.name), facts_of(message))
            sections += [render(language, name, **values) for name, values in found]
    return "\n\n".join(dict.fromkeys(sections))


def _templates(tool: str, facts: Facts) -> list[tuple[str, dict[str, Any]]]:
    if tool in _OF_A_RUN and "run" in facts:
        return [(_OF_A_RUN[tool], {"run": facts})]
    match tool:
        case "list_runs" | "search_runs":
            return [("runs", {"runs": facts.get("runs", []), "when": facts.get("when")})]
        case "compare_runs":
            return [("comparison", {"compared": facts})]
        case "explain_method":
            return [("explained", {"notes": [facts]})]
        case "list_capabilities":
            return [(name, {"known": facts}) for name in ("models", "datasets", "methods")]
        case "delete_run" if "deleted" in facts:
            return [("deleted", {"gone": [facts]})]
        case "write_report" if "report" in facts:
            return [("reported", {"path": facts["report"], "runs": facts["runs"], "wanted": None, "told_in": None})]
    return []
