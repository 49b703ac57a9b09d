"""Arguments from the conversation: what is settled, and what a model has still to choose, from which values."""

from typing import Any

from agent.planner.reading import read
from agent.planner.tables import tables
from agent.strategies.completing import kinds_asked
from agent.strategies.said import RUN_KINDS, TARGETS, Said
from agent.strategies.shown import needed_first
from knowledge.notes import names
from tools.catalog import REQUESTS

MOST_RUNS = 6  # of a comparison or a report
NAMED_RUNS = 10  # the newest that may be chosen from
_HEADED = ("analyze_layers", "evaluate_model")  # need a model that can do a task


def first_step(tool: str, said: Said) -> str:
    """The tool to call now on the way to that one: an analysis before a plan, a training before an analysis."""
    now = needed_first(tool, said)
    if now == "compress_model" and said.latest.target and not any(run.startswith("plan-") for run in said.made):
        now = needed_first("plan_compression", said)  # the plans there are were made for another size
    if now in _HEADED and said.models()[:1] and _headed(said) is None:
        return "train_model"
    return now


def candidates(tool: str, schema: dict[str, Any], said: Said) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arguments that are settled, and the JSON schemas of those that a model has to choose.

    Args:
        tool: its name.
        schema: the JSON schema of its arguments.
        said: the conversation.
    """
    if tool == "list_runs":
        return read(said.text).filters, {}
    settled: dict[str, Any] = {}
    open_: dict[str, Any] = {}
    for name, about in schema["properties"].items():
        if name == "language":
            settled[name] = said.language
            continue
        if tool == "export_model" and name in ("format", "remove"):  # Slots call them otherwise
            spoken = said.slots.export if name == "format" else list(said.latest.layers)
            settled |= {name: spoken} if spoken else {}
            continue
        allowed = _allowed(tool, name, settled, said)
        if allowed is not None and len(allowed) == 1:
            settled[name] = allowed[0]
        elif allowed:
            open_[name] = {"type": "string", "enum": allowed[:NAMED_RUNS]}
        elif name in ("run", "runs"):
            named, least = list(said.latest.runs), about.get("minItems", 1)
            if len(named) >= least:
                settled[name] = named[0] if name == "run" else named
                continue
            kinds = kinds_asked(said.text)
            asked = [run for run in _meant(said) if run.partition("-")[0] in kinds]
            if name == "run" and asked:
                settled[name] = asked[0]
                continue
            known = _meant(said)[:NAMED_RUNS]
            one: dict[str, Any] = {"type": "string", "enum": known} if known else {"type": "string"}
            many = {"type": "array", "items": one, "minItems": least, "maxItems": MOST_RUNS}
            open_[name] = one if name == "run" else many
        elif name in schema["required"] or (name not in TARGETS and said.wants(name)):
            known_value = getattr(said.slots, name, None) if name not in schema["required"] else None
            if known_value is not None:
                settled[name] = list(known_value) if isinstance(known_value, tuple) else known_value
            else:
                open_[name] = about
    if tool == "explain_method":
        notes = [name for name in (*said.latest.methods, *_topics(said)) if name in names()]
        return ({"name": notes[0]}, {}) if notes else ({}, {"name": {"type": "string", "enum": names()}})
    if tool == "plan_compression":
        settled |= said.target(str(settled.get("analysis", "")))
        open_ |= {name: schema["properties"][name] for name in ("max_latency", "max_size") if said.wants(name)}
    return settled, open_


def _allowed(tool: str, name: str, settled: dict[str, Any], said: Said) -> list[str] | None:
    """Values of an argument that names a model, data or a run of one kind; None for other arguments."""
    if name in RUN_KINDS and tool in ("plan_compression", "compress_model"):
        return said.of_kind(*RUN_KINDS[name])[:1]
    if name == "model" and tool in ("train_model", "export_model"):
        return said.models()[:1] or [""]
    if name == "model" and tool in _HEADED:
        return [model] if (model := _headed(said)) else said.models()[:1] or [""]
    if name == "data" and tool in REQUESTS:
        return said.data(str(settled.get("model", "")))[:1] or [""]
    return None


def _headed(said: Said) -> str | None:
    """The model to analyze or evaluate: the run that trained what was named, where the bare model has no head."""
    for model in said.models()[:1]:
        if model not in tables()["headless"]:
            return model
        trained = [run.id for run in said.runs if run.kind == "train" and run.model == model]
        fitting = [
            run
            for run in trained
            if not said.slots.data or ((found := said.run(run)) and found.data in said.slots.data)
        ]
        return fitting[0] if fitting else None
    return None


def _topics(said: Said) -> list[str]:
    """Notes whose subject the message names by one of the planner's words."""
    text = said.text.lower()
    return [note for word, note in tables()["topics"].items() if word in text]


def _meant(said: Said) -> list[str]:
    """Runs, likeliest first: those that were named or spoken of last ("it" is one of these), then the newest."""
    meant = [run for run in (*said.latest.runs, *reversed(said.spoken)) if said.run(run)]
    return list(dict.fromkeys([*meant, *(run.id for run in said.runs)]))
