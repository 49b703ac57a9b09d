"""The words of a report: by the templates, or by a language model whose every number has a fact."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from agent.backing import backed
from agent.llm import LanguageModel, choose, explain
from agent.planner.answers import render
from agent.settings import Settings
from analyzers.records import Kind, Run
from knowledge.comparison import compare
from knowledge.runs import RunStore
from prompts import load
from tools.facts import facts

if TYPE_CHECKING:  # they load what draws charts
    from tools.report import Language, Narrative, Narrator

ORDER: tuple[Kind, ...] = (
    "compression",
    "plan",
    "analysis",
    "train",
    "evaluation",
    "export",
)  # what decides comes first
LANGUAGES = {"en": "English", "zh": "Chinese (中文)"}
BRACKETS = {"en": " ({}).", "zh": "（{}）。"}  # around the runs that a paragraph does not name itself
LONGER = 3  # times the paragraph of the templates: a model that repeats itself is not believed
LESS = 2  # the templates name at most so many times as many facts
LAID_OUT = re.compile(r"^\s*(?:[#|>*-]|\d+[.)]) ?", re.MULTILINE)  # a heading, a list, a table
TRIES = 2
TEMPLATES = "Layerwise"


def templates(store: RunStore, compared: bool = False) -> "Narrator":
    """Tells runs in the words of the templates.

    Args:
        store: where the runs are.
        compared: the runs stand side by side.
    """
    return lambda runs, language: _of_templates([each for each, _ in _paragraphs(runs, store, compared, language)])


def narrator(store: RunStore, settings: Settings, llm: str | None = None, compared: bool = False) -> "Narrator":
    """Tells runs in words; to be handed to `tools.report.report`.

    Args:
        store: where the runs are.
        settings: of the language models.
        llm: ollama:MODEL, openai:MODEL or auto; None and offline: the templates.
        compared: the runs stand side by side.

    Raises (when it is called):
        LanguageModelError: the model cannot be reached or used.
    """

    def tell(runs: Sequence[Run], language: "Language") -> "Narrative":
        chosen = choose(llm, settings) if llm and llm != "offline" else None
        if chosen is None or chosen.name == "offline":
            return templates(store, compared)(runs, language)
        paragraphs = _paragraphs(runs, store, compared, language)
        return _retold(chosen, paragraphs, {run.id: run for run in runs}, language)

    return tell


def _paragraphs(
    runs: Sequence[Run], store: RunStore, compared: bool, language: "Language"
) -> list[tuple[str, dict[str, Any]]]:
    """The paragraphs of the templates, each with the facts that it tells."""
    contents = [_comparison(runs)] if compared else [facts(run, store) for run in _in_order(runs)]
    return [(each, told) for told in contents for each in _by_templates(told, language)]


def _of_templates(paragraphs: Sequence[str]) -> "Narrative":
    from tools.report import Narrative

    return Narrative(text="\n\n".join(paragraphs), written_by=TEMPLATES)


def _by_templates(told: dict[str, Any], language: "Language") -> list[str]:
    """Paragraphs about one run, or about the comparison of several."""
    name, given = ("narrative", {"runs": [told]}) if "run" in told else ("compared", {"compared": told})
    text = render(language, name, "narrative", **given)
    paragraphs = [" ".join(each.split()) for each in text.split("\n\n") if each.strip()]
    if language == "zh":  # no space stands behind a Chinese mark
        paragraphs = [re.sub(r"([，。；：）]) ", r"\1", each) for each in paragraphs]
    return paragraphs


def _retold(
    chosen: LanguageModel,
    paragraphs: Sequence[tuple[str, dict[str, Any]]],
    runs: Mapping[str, Run],
    language: "Language",
) -> "Narrative":
    """Each paragraph as the model says it again, if that holds; else as it was. A small model tells one thing well, not ten."""
    from tools.report import Narrative
    from tools.report.document import words

    try:
        found = [_again(chosen, text, told, runs, language) for text, told in paragraphs]
    except Exception as problem:
        known_problem = explain(problem, chosen.name)
        if known_problem is None:
            raise
        raise known_problem from None
    finally:
        chosen.close()
    kept = sum(each is None for each in found)
    note = words(language)["withdrawn"].format(who=chosen.name, count=kept, total=len(found)) if kept else ""
    text = "\n\n".join(new or old for new, (old, _) in zip(found, paragraphs, strict=True))
    return Narrative(text=text, written_by=TEMPLATES if kept == len(found) else chosen.name, note=note)


def _again(
    chosen: LanguageModel, text: str, told: dict[str, Any], runs: Mapping[str, Run], language: "Language"
) -> str | None:
    """What the model makes of a paragraph at the first or the second try."""
    sources, facts_of_it = told.get("runs") or [told["run"]], [json.dumps(told, ensure_ascii=False)]
    enough = len(backed(text, facts_of_it, "", runs.get).facts) / LESS
    messages: list[BaseMessage] = [
        HumanMessage(load("narrative.md").format(language=LANGUAGES[language], paragraph=text))
    ]
    for _ in range(TRIES):
        said = str(chosen.model.invoke(messages).text).strip()
        answer = backed(said, facts_of_it, "", runs.get)
        wrong = list(answer.unsupported)
        if len(answer.facts) < enough or len(said) > LONGER * len(text) or LAID_OUT.search(said):
            wrong.append("it has to be one paragraph that says what the given one says")
        if not wrong:
            unnamed = [run for run in sources if run in text and run not in said]
            said = " ".join(said.split())
            return f"{said.rstrip('.。')}{BRACKETS[language].format(', '.join(unnamed))}" if unnamed else said
        missing = "\n".join(f"- {each}" for each in wrong)
        messages += [AIMessage(said), HumanMessage(load("correction.md").format(missing=missing))]
    return None


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
