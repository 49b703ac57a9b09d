"""What the conversation supports: the values a user wrote and the runs there are.

A model chooses what to do; which model, which data and how small is read from what was said, and asked for where nobody
said it. So no run is started on a data set that a language model made up.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from langchain_core.messages import HumanMessage, ToolMessage

from agent.planner.answers import render
from agent.planner.memory import facts_of
from agent.planner.reading import Language, read
from agent.planner.slots import Slots, extract
from agent.planner.tables import tables
from analyzers.records import AnalysisResult, Run
from tools.catalog import REQUESTS

MODEL_KINDS = ("train", "compression")  # runs that produced a model
TARGETS = ("ratio", "keep", "max_drop", "max_latency", "max_size")
RUN_KINDS = {"analysis": ("analysis",), "plan": ("plan",)}  # arguments that name a run of one kind


class Said(NamedTuple):
    slots: Slots  # of all messages of the user, the later over the earlier
    latest: Slots  # of the last message
    text: str  # the last message
    words: str  # all messages of the user, in lower case
    language: Language
    runs: list[Run]  # finished, the newest first
    made: list[str]  # runs that this turn made, the newest last
    spoken: tuple[str, ...] = ()  # runs that results of the conversation were about, the newest last

    @classmethod
    def of(cls, messages: Sequence[Any], runs: Sequence[Run]) -> "Said":
        slots, latest, texts = Slots(), Slots(), [""]
        made: list[str] = []
        spoken: list[str] = []
        for message in messages:
            if isinstance(message, HumanMessage):
                latest, _ = extract(message.text[:2000])
                slots = latest.over(slots)
                texts.append(message.text)
                made = []
            elif isinstance(message, ToolMessage) and message.status == "success":
                run = facts_of(message).get("run")
                spoken += [run] if run else []
                made += [run] if run and message.name != "show_run" else []
        language = read(texts[-1]).language
        done = [run for run in runs if run.status == "done"]
        return cls(slots, latest, texts[-1], " ".join(texts).lower(), language, done, made, tuple(spoken))

    def run(self, run_id: str) -> Run | None:
        return next((run for run in self.runs if run.id == run_id), None)

    def of_kind(self, *kinds: str) -> list[str]:
        """Runs of the kinds that an argument can name; only what this turn made where it made some, or what was named."""
        found = [run.id for run in self.runs if run.kind in kinds]
        named = [run for run in self.slots.runs if run in found]
        now = [run for run in found if run in self.made]
        trained = [run for run in self.made if run.startswith("train-")]
        if now:
            return now
        if self.latest.runs and named:
            return named
        if trained and kinds != MODEL_KINDS:  # an older analysis is of an older model
            return [run.id for run in self.runs if run.id in found and run.model in trained]
        return list(dict.fromkeys([*named[::-1], *found]))

    def models(self) -> list[str]:
        """Models that a call may name, the likeliest first."""
        runs = self.of_kind(*MODEL_KINDS)
        if any(run in self.made for run in runs):
            return runs[:1]
        if self.latest.models:
            return list(self.latest.models)
        return list(dict.fromkeys([*self.slots.models, *runs]))

    def data(self, model: str) -> list[str]:
        """Data that a call may name with that model: what was said, else what the model was made with."""
        if self.slots.data:
            return list(self.slots.data)
        run = self.run(model)
        return [run.data] if run and run.data else []

    def target(self, analysis: str) -> dict[str, float]:
        """The size that the user asked for, as arguments of a plan."""
        target = dict(self.slots.target)
        if "drop" in target:
            run = self.run(analysis)
            if not (run and isinstance(run.result, AnalysisResult)):
                return {}
            return {"keep": len(run.result.layers) - int(target["drop"])}
        return target

    def wants(self, argument: str) -> bool:
        """Whether the user spoke of an optional argument."""
        if argument in Slots.model_fields:
            return argument in self.slots.named
        return argument.replace("_", " ") in self.words or argument in self.words


def question_for(tool: str, arguments: dict[str, Any], said: Said) -> str | None:
    """What to ask the user before that call: a value that only the user knows and has not said; None: nothing."""
    if tool not in REQUESTS:  # no work is started: its model and data only narrow what is shown
        return None
    model = str(arguments.get("model", ""))
    if "model" in arguments and not (said.run(model) or model in said.slots.models or _in(model, said.words)):
        return render(said.language, "ask_model", runs=said.of_kind(*MODEL_KINDS)[:3])
    if "data" in arguments:
        data = str(arguments["data"])
        if not (data in said.data(model) or _in(data, said.words)):
            proposed = tables()["demo_data"].get(model)
            return render(said.language, "ask_data", model=model, proposed=proposed)
    if tool == "plan_compression" and not said.slots.target and not any(char.isdigit() for char in said.words):
        return render(said.language, "ask_target", layers=())
    return None


def open_question(said: Said) -> str:
    """What to ask where the user wants something and does not say what: model, data or size, whichever is missing first."""
    model = next(iter(said.models()), None)
    if model is None:
        return render(said.language, "ask_model", runs=[])
    if not said.data(model):
        return render(said.language, "ask_data", model=model, proposed=tables()["demo_data"].get(model))
    return render(said.language, "ask_target", layers=())


def _in(value: str, words: str) -> bool:
    return bool(value) and value.lower() in words
