"""The words of a report: by the templates, or by a language model whose every number has a fact."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from agent.backing import backed
from agent.events import Answer
from agent.llm import choose, explain
from agent.planner.answers import render
from agent.settings import Settings
from analyzers.records import Kind, Run
from knowledge.comparison import compare
from knowledge.runs import RunStore
from prompts import load
from tools.facts import facts
from tools.report import Language, Narrative, Narrator
from tools.report.document import words

ORDER: tuple[Kind, ...] = (
    "compression",
    "plan",
    "analysis",
    "train",
    "evaluation",
    "export",
)  # what decides comes first
LANGUAGES = {"en": "English", "zh": "Chinese (中文)"}
LEFT_OUT = ("settings", "environment", "examples", "command", "parents", "seed", "seconds", "headline")
FEW = 3  # alternatives of a plan that a model is told
TEMPLATES = "Layerwise"


def narrator(store: RunStore, settings: Settings, llm: str | None = None, compared: bool = False) -> Narrator:
    """Tells runs in words; to be handed to `tools.report.report`.

    Args:
        store: where the runs are.
        settings: of the language models.
        llm: ollama:MODEL, openai:MODEL or auto; None and offline: the templates.
        compared: the runs stand side by side.

    Raises (when it is called):
        LanguageModelError: the model cannot be reached or used.
    """

    def tell(runs: Sequence[Run], language: Language) -> Narrative:
        content = _comparison(runs) if compared else [facts(run, store) for run in _in_order(runs)]
        if llm and llm != "offline":
            written = _by_model(llm, settings, runs, content, language)
            if written.written_by != "offline":
                return written
        return _by_templates(content, language)

    return tell


def _by_templates(content: Any, language: Language, note: str = "") -> Narrative:
    told = {"compared": content} if isinstance(content, dict) else {"runs": content}
    text = render(language, "compared" if isinstance(content, dict) else "narrative", "narrative", **told)
    paragraphs = [" ".join(each.split()) for each in text.split("\n\n")]
    if language == "zh":  # no space stands behind a Chinese mark
        paragraphs = [re.sub(r"([，。；：）]) ", r"\1", each) for each in paragraphs]
    return Narrative(text="\n\n".join(paragraphs), written_by=TEMPLATES, note=note)


def _by_model(llm: str, settings: Settings, runs: Sequence[Run], content: Any, language: Language) -> Narrative:
    """The model's text if each of its numbers has a fact, at the first or the second try; else that of the templates."""
    chosen = choose(llm, settings)
    if chosen.name == "offline":
        return Narrative(text="", written_by="offline")
    told = json.dumps(content if isinstance(content, dict) else list(map(_brief, content)), ensure_ascii=False)
    known = {run.id: run for run in runs}

    def ask(messages: list[BaseMessage]) -> Answer:
        text = str(chosen.model.invoke(messages).text).strip()
        return backed(text, [told], "", known.get)

    try:
        answer = _asked(ask, load("narrative.md").format(language=LANGUAGES[language], facts=told))
    except Exception as problem:
        known_problem = explain(problem, chosen.name)
        if known_problem is None:
            raise
        raise known_problem from None
    finally:
        chosen.close()
    if answer.grounded and answer.text:
        return Narrative(text=answer.text, written_by=chosen.name)
    note = words(language)["withdrawn"].format(who=chosen.name, count=len(answer.unsupported))
    return _by_templates(content, language, note)


def _asked(ask: Callable[[list[BaseMessage]], Answer], prompt: str) -> Answer:
    first = ask([HumanMessage(prompt)])
    if first.grounded:
        return first
    missing = load("correction.md").format(missing="\n".join(f"- {each}" for each in first.unsupported))
    return ask([HumanMessage(prompt), AIMessage(first.text), HumanMessage(missing)])


def _in_order(runs: Sequence[Run]) -> list[Run]:
    """Finished runs, what decides first, the newest of a kind first."""
    newest = sorted((run for run in runs if run.result is not None), key=lambda run: run.created, reverse=True)
    return sorted(newest, key=lambda run: ORDER.index(run.kind))


def _comparison(runs: Sequence[Run]) -> dict[str, Any]:
    """The comparison, each quantity with whether it differs by more than chance."""
    found = compare(list(runs))
    told = found.model_dump(mode="json")
    for row, written in zip(found.measurements, told["measurements"], strict=True):
        written["beyond"] = any(each and each.beyond_chance for each in row.differences)
    return told


def _brief(told: dict[str, Any]) -> dict[str, Any]:
    """What a model needs: no scores of single layers, no texts of a data set, few alternatives."""
    result = dict(told["result"] or {})
    for name in ("texts", "tau", "frontier", "precisions"):
        result.pop(name, None)
    if "methods" in result:
        result["methods"] = {
            name: {key: value for key, value in method.items() if key != "scores"}
            for name, method in result["methods"].items()
        }
    if "others" in result:
        result["others"] = result["others"][:FEW]
    kept = {name: value for name, value in told.items() if name not in LEFT_OUT}
    return dict(_filled({**kept, "result": result}))


def _filled(value: Any) -> Any:
    """Without what is null or empty: small models read slowly."""
    if isinstance(value, dict):
        return {key: _filled(each) for key, each in value.items() if each not in (None, "", [], {})}
    return [_filled(each) for each in value] if isinstance(value, list) else value
