"""A second opinion: the same measured facts to several language models, and their recommendations side by side.

Each answers under a schema and is checked: layers that exist, as many as asked for, and a reason whose numbers have facts.
A model that is down costs one line, the others remain.
"""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from agent.grounding import check, facts_of
from agent.grounding.facts import Layers
from agent.llm import choose, explain
from agent.settings import Settings
from agent.summaries import table
from analyzers.errors import LanguageModelError, LayerwiseError, UsageError
from analyzers.records import AnalysisResult, Candidate, Estimate, FrontierPoint, PlanResult, Record, Run
from knowledge.runs import RunStore
from prompts import load
from tools.facts import facts as facts_about
from tools.wording import layers as shown
from tools.wording import title, with_interval

MOST_LAYERS = 400  # of a recommendation; a model that repeats itself is not read further


class Recommendation(BaseModel):
    """What a language model is made to answer."""

    remove: list[int] = Field(max_length=MOST_LAYERS, description="the layers to remove, counted from 0")
    reason: str = Field(max_length=2000, description="why, in at most three sentences")


class Opinion(Record):
    """What one model recommends, or why it recommends nothing."""

    llm: str
    remove: tuple[int, ...] = ()
    reason: str = ""
    grounded: bool = False
    unsupported: tuple[str, ...] = ()  # numbers of the reason without a fact
    measured: Estimate | None = None  # the metric on the select split, where the plan measured this very set
    problem: str = ""  # one line; empty for an opinion


class Opinions(Record):
    """Recommendations side by side."""

    run: str  # the analysis that all of them were told of
    plan: str | None
    metric: str
    layers: int
    wanted: int  # how many are to be removed
    planned: tuple[int, ...] = ()  # what the plan removes, chosen by measuring
    planned_measured: Estimate | None = None
    opinions: tuple[Opinion, ...]
    agreed: tuple[int, ...]  # layers that every opinion removes
    disputed: tuple[int, ...]  # layers that some remove and others keep


def opinions(
    run_id: str,
    names: Sequence[str],
    settings: Settings,
    runs: RunStore,
) -> Opinions:
    """Ask each language model which layers to remove.

    A plan stays untold, so that no model repeats it; it is what they are compared with.

    Args:
        run_id: an analysis, or a plan: then its analysis is told, and as many layers are asked for as it removes.
        names: ollama:MODEL or openai:MODEL.
        settings: of the language models.
        runs: where the run is.

    Raises:
        UsageError: the run is neither a finished analysis nor a finished plan, or a name is given twice.
        UnknownRun: there is no such run.
    """
    if len(set(names)) < len(names):
        raise UsageError(
            f"{', '.join(names)}: one of them is named twice; a second answer of a model is no second opinion"
        )
    run = runs.get(run_id)
    plan = run.result if isinstance(run.result, PlanResult) else None
    analysis = runs.get(run.parents[0]) if plan and run.parents else run
    result = analysis.result
    if not isinstance(result, AnalysisResult) or run.status != "done" or (plan and plan.granularity != "block"):
        raise UsageError(
            f"{run_id} is no finished analysis or plan of whole layers; see: layerwise runs list --kind analysis"
        )
    layers = len(result.layers)
    wanted = len(plan.remove) if plan else layers // 2
    told = _told(analysis, runs)
    prompt = load("opinion.md").format(wanted=wanted, layers=layers, facts=json.dumps(told, ensure_ascii=False))
    given = [_opinion(name, prompt, settings, analysis, plan, layers, wanted) for name in names]
    sets = [set(each.remove) for each in given if not each.problem]
    every, some = (set.intersection(*sets), set.union(*sets)) if sets else (set(), set())
    return Opinions(
        run=analysis.id,
        plan=run.id if plan else None,
        metric=result.metric,
        layers=layers,
        wanted=wanted,
        planned=tuple(plan.remove) if plan else (),
        planned_measured=_measured(plan, plan.remove) if plan else None,
        opinions=tuple(given),
        agreed=tuple(sorted(every)),
        disputed=tuple(sorted(some - every)),
    )


def side_by_side(found: Opinions) -> str:
    """The recommendations as a few lines of text."""
    rows = [
        [each.llm, shown(list(each.remove)), _value(each.measured, found), "yes" if each.grounded else "no"]
        for each in found.opinions
        if not each.problem
    ]
    if found.plan:
        rows.insert(0, [found.plan, shown(list(found.planned)), _value(found.planned_measured, found), "measured"])
    lines = [f"remove {found.wanted} of {found.layers} layers, by what {found.run} measured"]
    if rows:
        lines.append(table(["who", "removes", f"{title(found.metric)} on select", "backed"], rows))
    if sum(not each.problem for each in found.opinions) > 1:
        lines.append(f"all remove {shown(list(found.agreed))}; they differ on {shown(list(found.disputed))}")
    for each in found.opinions:
        if each.problem:
            lines.append(f"{each.llm}: {each.problem}")
            continue
        lines.append(f"{each.llm}: {each.reason}")
        lines += [f"  not backed: {line}" for line in each.unsupported]
    return "\n".join(lines)


def _value(measured: Estimate | None, found: Opinions) -> str:
    return with_interval(measured, found.metric) if measured else "not measured"


def _told(analysis: Run, runs: RunStore) -> dict[str, Any]:
    """What the models read of the analysis: scores by layer, without intervals, so that deep models fit in too."""
    result = facts_about(analysis, runs)["result"]
    return {
        "run": analysis.id,
        "task": result["task"],
        "metric": result["metric"],
        "layers": result["layers"],
        "methods": {
            name: {
                "unit": method["unit"],
                "fidelity": method["fidelity"],
                "score_of_layer": {str(score["layer"]): score["value"] for score in method["scores"]},
            }
            for name, method in result["methods"].items()
        },
        "kendall_w": result["kendall_w"],
        "consensus_most_important_first": result["most_important_first"],
    }


def _opinion(
    name: str,
    prompt: str,
    settings: Settings,
    analysis: Run,
    plan: PlanResult | None,
    layers: int,
    wanted: int,
) -> Opinion:
    try:
        given = _ask(name, prompt, settings)
        remove = _valid(given, name, layers, wanted)
    except LayerwiseError as problem:
        return Opinion(llm=name, problem=str(problem))
    known = facts_of([], [analysis])
    kept = tuple(layer for layer in range(layers) if layer not in remove)
    known.lists.extend((Layers(layers=remove, what="removed"), Layers(layers=kept, what="kept")))  # its own proposal
    missing = check(given.reason, known).unsupported
    return Opinion(
        llm=name,
        remove=remove,
        reason=given.reason.strip(),
        grounded=not missing,
        unsupported=tuple(f"{each.number} in '{each.context}': {each.reason}" for each in missing),
        measured=_measured(plan, remove) if plan else None,
    )


def _ask(name: str, prompt: str, settings: Settings) -> Recommendation:
    """The answer under the schema.

    Raises:
        LanguageModelError: no such model, no server, or no answer of that form.
    """
    if name.partition(":")[0] not in ("ollama", "openai"):
        raise LanguageModelError(f"{name} has no opinion; ask ollama:MODEL or openai:MODEL")
    try:
        chosen = choose(name, settings)
        try:
            answer = chosen.model.with_structured_output(Recommendation, method="json_schema").invoke(prompt)
        finally:
            chosen.close()
    except ValueError as problem:  # of pydantic and of the parsers of LangChain
        reason = (str(problem).splitlines() or [type(problem).__name__])[0][:200]
        raise LanguageModelError(
            f"{name} gave no recommendation that can be read: {reason}; ask another model"
        ) from None
    except Exception as problem:
        known = explain(problem, name)
        if known is None:
            raise
        raise known from None
    if not isinstance(answer, Recommendation):
        raise LanguageModelError(f"{name} gave no recommendation; ask another model")
    return answer


def _valid(given: Recommendation, name: str, layers: int, wanted: int) -> tuple[int, ...]:
    remove = tuple(sorted(set(given.remove)))
    unknown = [layer for layer in remove if not 0 <= layer < layers]
    if unknown:
        raise LanguageModelError(
            f"{name} wants to remove {unknown}, and there are layers 0 to {layers - 1} only; ask another model"
        )
    if len(remove) != wanted or len(given.remove) != wanted:
        raise LanguageModelError(
            f"{name} wants to remove {given.remove}, and {wanted} different layers were asked for; ask another model"
        )
    return remove


def _measured(plan: PlanResult, remove: Sequence[int]) -> Estimate | None:
    """The metric on the select split, where the plan measured exactly these layers."""
    points: list[Candidate | FrontierPoint] = [*plan.candidates, *plan.frontier]
    return next((each.select.metric for each in points if set(each.remove) == set(remove)), None)
