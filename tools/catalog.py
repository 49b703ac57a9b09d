"""The workflows and the run history as LangChain tools.

A tool's content is compact JSON that a language model can read; its artifact is the ids of the runs it names, no more.
An error of ours or of a library becomes a message for the model; only `Cancelled` ends the turn.
"""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field, ValidationError, create_model

from analyzers.errors import UsageError
from analyzers.progress import Progress
from analyzers.records import (
    AnalyzeRequest,
    CompressRequest,
    EvaluateRequest,
    Kind,
    PlanRequest,
    Request,
    Run,
    TrainRequest,
    now,
)
from analyzers.requests import ExportRequest
from knowledge.filters import span
from tools.facts import brief, facts
from tools.workspace import Workspace

if TYPE_CHECKING:
    from tools.report import Narrator

Answer = tuple[str, list[str]]  # content, artifact
REQUESTS: dict[str, type[Request]] = {  # what the tools that work for long ask of the workflows
    "train_model": TrainRequest,
    "analyze_layers": AnalyzeRequest,
    "plan_compression": PlanRequest,
    "compress_model": CompressRequest,
    "evaluate_model": EvaluateRequest,
    "export_model": ExportRequest,
}
WORKFLOWS = tuple(REQUESTS)

_DESCRIPTIONS = {
    "model": "demo:minilm, demo:smollm2, a Hugging Face id, a local folder, gguf:PATH, or a run id: the model it produced",
    "data": "demo:amazon, demo:movie, demo:nyt, demo:tweets, csv:PATH, jsonl:PATH, parquet:PATH or hf:NAME, as the user named it",
    "seed": "seed of splits, sampling and training",
    "epochs": "passes over the training split; for a compression, epochs of healing",
    "batch_size": "examples a step",
    "learning_rate": "peak of the one-cycle schedule",
    "max_tokens": "texts are cut after so many tokens",
    "patience": "epochs without a better model before training stops",
    "mixed_precision": "matrices multiplied in bfloat16 while training; leave at auto",
    "from_scratch": "path of a YAML file with a small configuration: train a new encoder instead of fine-tuning",
    "methods": "ids of importance methods; main stands for six of them, all for every one",
    "samples": "examples to measure on; to analyze, auto: as many as it takes until the order of the layers stays",
    "analysis": "run id of the analysis, e.g. analysis-k3v9qd",
    "ratio": "layers now / layers kept; 2 halves the model",
    "keep": "number of layers to keep",
    "max_drop": "largest allowed fall of the metric on the select split, as a fraction: 0.02",
    "max_latency": "largest predicted latency of a batch in milliseconds",
    "max_size": "largest size of the weights in megabytes",
    "granularity": "block: whole layers; sublayer: attention and MLP parts separately, which can be measured and not saved",
    "objective": "what the search goes by: the metric, the loss, or kl: the divergence from the dense model",
    "budget": "subsets of layers that may be measured; 64 where no minutes are given",
    "minutes": "time that the search may take",
    "plan": "run id of the plan, e.g. plan-81mzna",
    "heal": "distill: short training with the dense model as teacher; lora, qlora: the same with few weights; linear: closed "
    "form, seconds; none: leave the weights as they are",
    "heal_minutes": "time that healing may take",
    "heal_data": "data references whose texts are learned from too, without labels",
    "heal_weights": "what a layer counts when hidden states are compared",
    "quantize": "store weights in fewer bits when all else is done: int8 or nf4; none: float32",
    "precisions": "also measure the best sets of each size at these precisions: int8, nf4, or all",
    "export": "format of the saved model",
    "format": "hf: Hugging Face folder; gguf: for Ollama, LLaMA family only; onnx: for onnxruntime",
    "precision": "of the weights of a gguf file: f16 or q8_0; leave it out to keep them as they are",
    "remove": "layers to take out, only where no plan says which: leave it empty for a run id",
}


class _Nothing(BaseModel):
    """No arguments."""


class _RunName(BaseModel):
    run: str = Field(description="run id, e.g. analysis-k3v9qd")


class _RunNames(BaseModel):
    runs: list[str] = Field(min_length=2, description="two or more run ids")


class _Deletion(_RunName):
    force: bool = Field(default=False, description="even if other runs were made from it; only where the user insists")


class _Listing(BaseModel):
    kind: Kind | None = Field(default=None, description="only runs of this kind")
    model: str | None = Field(default=None, description="only runs that started from this model")
    data: str | None = Field(default=None, description="only runs on this data")
    when: str | None = Field(
        default=None, description="today, yesterday, this week, last week, this month, last month, 7d, or 2026-11-20"
    )
    where: list[str] = Field(default=[], description="ranges of measurements: accuracy>=0.85, latency_ms<20")
    best: str | None = Field(
        default=None, description="a measurement, such as accuracy: the best in it first, not the newest"
    )
    limit: int = Field(default=10, ge=1, le=50, description="how many, the newest first")


class _Search(BaseModel):
    query: str = Field(min_length=1, description="what to look for, in words")
    limit: int = Field(default=5, ge=1, le=20, description="how many, the nearest first")


class _Report(BaseModel):
    runs: list[str] = Field(min_length=1, description="run ids to report on")
    format: Literal["html", "md", "json", "pdf"] = Field(
        default="html", description="html and pdf have charts, md pictures beside it, json the records"
    )
    language: Literal["en", "zh"] = Field(default="en", description="of its headings and words")


class _Topic(BaseModel):
    name: str = Field(description="id of an importance method, or fidelity, agreement, plan, healing, ...")


def catalog(
    workspace: Workspace,
    progress: Callable[[], Progress] = Progress,
    workflows: Any = None,
    narrator: "Narrator | None" = None,
) -> list[BaseTool]:
    """The tools of a conversation.

    Args:
        workspace: where they read and write.
        progress: makes the progress for one call; its `cancel` stops the workflow at its next tick.
        workflows: stands for `tools.workflows`, where no model is to be loaded.
        narrator: tells a report in words; without one there are none.
    """
    return _Catalog(workspace, progress, workflows, narrator).tools()


def request_of(tool: str, arguments: dict[str, Any]) -> Request | None:
    """What a call of that tool asks of a workflow; None for tools that call none.

    Raises:
        ValidationError, UsageError: a workflow would not take the arguments.
    """
    record = REQUESTS.get(tool)
    if record is None:
        return None
    return record(**{name: value for name, value in arguments.items() if name in record.model_fields})


def finished_since(tool: str, arguments: dict[str, Any], since: datetime, workspace: Workspace) -> Answer | None:
    """What the tool would have answered, where its workflow ended after all; None: no run of that call was finished since then."""
    try:
        request = request_of(tool, arguments)
    except (ValidationError, UsageError):
        return None
    if request is None:
        return None
    command = request.command()
    for run in workspace.runs.list(status="done"):
        if run.command == command and run.created >= since:
            return _json(facts(run, workspace.runs)), [run.id]
    return None


def dependants(run: str, workspace: Workspace) -> list[str]:
    """The runs that were made from a run, directly or over others, the oldest first."""
    found: list[str] = []
    for each in reversed(workspace.runs.list()):
        if {run, *found} & {*each.parents, each.model}:
            found.append(each.id)
    return found


class _Catalog:
    def __init__(
        self, workspace: Workspace, progress: Callable[[], Progress], workflows: Any, narrator: "Narrator | None"
    ) -> None:
        self._narrator = narrator
        self._workspace = workspace
        self._progress = progress
        self._given = workflows
        self._one_at_a_time = threading.Lock()  # a model may ask for two workflows at once; they share the machine

    def tools(self) -> list[BaseTool]:
        return [
            _tool("train_model", self.train, _arguments(TrainRequest, resume=_resume()),
                  "Fine-tune a model on labelled texts and measure it on the test split. Takes minutes."),
            _tool("analyze_layers", self.analyze, _arguments(AnalyzeRequest),
                  "Score how important each layer is by several methods, and how far the methods agree. Takes minutes. "
                  "The model must have a head for the task: train it first, or give the run id of a training."),
            _tool("plan_compression", self.plan, _arguments(PlanRequest),
                  "Find which layers to remove, by measuring subsets. Needs an analysis and exactly one of ratio, keep, "
                  "max_drop, max_latency, max_size."),
            _tool("compress_model", self.compress, _arguments(CompressRequest, resume=_resume()),
                  "Remove the layers of a plan for good, save and verify the smaller model, heal it, quantize it if asked, measure it. "
                  "To quantize alone, plan with ratio 1 first."),
            _tool("evaluate_model", self.evaluate, _arguments(EvaluateRequest),
                  "Measure quality, speed and size of a model on the test split of a data set."),
            _tool("export_model", self.export, _arguments(ExportRequest, without=("output",)),
                  "Write the model of a run, or what a plan leaves of its model, for other programs, and verify it there."),
            _tool("write_report", self.report, _Report, "Write one file with charts about runs."),
            _tool("list_runs", self.list_runs, _Listing, "The newest runs, or those that did best in a measurement."),
            _tool("search_runs", self.search_runs, _Search, "Find runs by meaning."),
            _tool("show_run", self.show_run, _RunName, "Everything that one run measured."),
            _tool("compare_runs", self.compare_runs, _RunNames, "Settings and measurements of runs side by side."),
            _tool("delete_run", self.delete_run, _Deletion,
                  "Delete one run and its files for good, where the user asks for it and names the run."),
            _tool("explain_method", self.explain_method, _Topic, "What a method or a result means and when it misleads."),
            _tool("list_capabilities", self.list_capabilities, _Nothing, "Importance methods, models and data sets."),
        ]  # fmt: skip

    @property
    def _workflows(self) -> Any:
        if self._given is not None:
            return self._given
        from tools import workflows

        return workflows

    def train(self, resume: bool = False, **arguments: Any) -> Answer:
        request = TrainRequest(**arguments)
        return self._run(lambda progress: self._workflows.train(request, self._workspace, progress, resume=resume))

    def analyze(self, **arguments: Any) -> Answer:
        request = AnalyzeRequest(**arguments)
        return self._run(lambda progress: self._workflows.analyze(request, self._workspace, progress))

    def plan(self, **arguments: Any) -> Answer:
        request = PlanRequest(**arguments)
        return self._run(lambda progress: self._workflows.plan(request, self._workspace, progress))

    def compress(self, resume: bool = False, **arguments: Any) -> Answer:
        request = CompressRequest(**arguments)
        return self._run(lambda progress: self._workflows.compress(request, self._workspace, progress, resume=resume))

    def evaluate(self, **arguments: Any) -> Answer:
        request = EvaluateRequest(**arguments)
        return self._run(lambda progress: self._workflows.evaluate(request, self._workspace, progress))

    def export(self, **arguments: Any) -> Answer:
        request = ExportRequest(**arguments)
        return self._run(lambda progress: self._workflows.export(request, self._workspace, progress))

    def report(self, runs: list[str], format: str = "html", language: Literal["en", "zh"] = "en") -> Answer:
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        folder = self._workspace.reports
        folder.mkdir(parents=True, exist_ok=True)
        path = self._workflows.report(
            runs, folder / f"{runs[-1]}-{stamp}.{format}", self._workspace, language=language, narrator=self._narrator
        )
        return _json({"report": str(path), "runs": runs}), runs

    def list_runs(
        self, model: str | None = None, when: str | None = None, best: str | None = None, limit: int = 10, **wanted: Any
    ) -> Answer:
        store = self._workspace.runs
        since, until = span(when) if when else (None, None)
        wanted |= {"since": since, "until": until, "best": best, "limit": limit}
        found = store.list(base_model=model, **wanted) or (store.list(model=model, **wanted) if model else [])
        rows = [brief(run, store, best) for run in found]
        asked = {"when": f"{since:%Y-%m-%d} to {until or now():%Y-%m-%d}"} if since else {}
        return _json({**asked, **({"best": best} if best else {}), "runs": rows}), [run.id for run in found]

    def search_runs(self, query: str, limit: int = 5) -> Answer:
        store = self._workspace.runs
        hits = store.search(query, limit=limit)
        rows = [{**brief(hit.run, store), "similarity": round(hit.score, 2)} for hit in hits]
        return _json({"query": query, "runs": rows}), [hit.run.id for hit in hits]

    def show_run(self, run: str) -> Answer:
        store = self._workspace.runs
        return _json(facts(store.get(run), store)), [run]

    def compare_runs(self, runs: list[str]) -> Answer:
        from knowledge.comparison import compare

        compared = compare([self._workspace.runs.get(run) for run in runs])
        return _json(compared.model_dump(mode="json")), runs

    def delete_run(self, run: str, force: bool = False) -> Answer:
        left = dependants(run, self._workspace)
        if left and not force:
            raise UsageError(
                f"{run} is what {', '.join(left)} came from; delete those first, or, if they may lose their source, say: "
                f"delete {run} anyway"
            )
        self._workspace.runs.delete(run, force=force)
        return _json({"deleted": run, "left_without_source": left}), [run]

    def explain_method(self, name: str) -> Answer:
        from knowledge.notes import names, note

        about = {method["id"]: method for method in _methods()}.get(name, {})
        if not about and name not in names():
            known = dict.fromkeys([*(method["id"] for method in _methods()), *names()])
            raise UsageError(f"nothing is known about {name!r}; there are: {', '.join(known)}")
        explained = note(name) if name in names() else None
        texts = explained.model_dump(include={"title", "title_zh", "text", "text_zh", "sources"}) if explained else {}
        return _json({"name": name, **about, **texts}), []

    def list_capabilities(self) -> Answer:
        from analyzers.datasets import sources
        from analyzers.datasets.demo import DEMO_SETS
        from analyzers.references import DEMO_MODELS, MODEL_FORMS

        known = {
            "methods": _methods(),
            "models": [{"id": f"demo:{name}", "about": about} for name, about in DEMO_MODELS.items()],
            "model_forms": list(MODEL_FORMS),
            "datasets": [{"id": f"demo:{name}", "about": about} for name, about in DEMO_SETS.items()],
            "data_forms": [source.form for source in sources()],
        }
        return _json(known), []

    def _run(self, workflow: Callable[[Progress], Run]) -> Answer:
        progress = self._progress()
        with self._one_at_a_time:
            progress.check()
            run = workflow(progress)
        return _json(facts(run, self._workspace.runs)), [run.id]


def _tool(name: str, function: Callable[..., Answer], schema: type[BaseModel], description: str) -> BaseTool:
    return StructuredTool.from_function(
        function, name=name, description=description, args_schema=schema, response_format="content_and_artifact"
    )


def _arguments(request: type[Request], without: tuple[str, ...] = (), **more: Any) -> type[BaseModel]:
    """The fields of a request with their defaults and limits, described for a language model.

    `without` names fields that a person may set and a model may not: it writes in the workspace alone.

    Limits that concern several fields are left to the request itself, whose errors say what to do next.
    """
    fields: dict[str, Any] = {}
    for name, field in request.model_fields.items():
        if name in without:
            continue
        limits = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        fields[name] = (
            limits,
            Field(default=field.default, description=_DESCRIPTIONS.get(name, name.replace("_", " "))),
        )
    return create_model(f"{request.__name__}Arguments", **fields, **more)


def _resume() -> Any:
    return (bool, Field(default=False, description="go on with the same training or healing that was interrupted"))


def _methods() -> list[dict[str, Any]]:
    from analyzers.importance import methods

    names = ("id", "title", "unit", "cost", "source", "summary")
    return [{name: getattr(method, name) for name in names} for method in methods()]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
