"""Every type that crosses a boundary: frozen, validated, without torch.

Requests say what is wanted (and give the command that asks for the same), results say what came out, and a `Run` joins
both with what is needed to trace and repeat them.
"""

import shlex
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, SerializeAsAny, WithJsonSchema, model_validator

from analyzers.compression.healing import names as strategies
from analyzers.errors import BadTarget
from analyzers.measured import Artifact as Artifact
from analyzers.measured import Environment as Environment
from analyzers.measured import Estimate as Estimate
from analyzers.measured import Forecast as Forecast
from analyzers.measured import Forecasts as Forecasts
from analyzers.measured import GeneratedText as GeneratedText
from analyzers.measured import Generation as Generation
from analyzers.measured import Lengths as Lengths
from analyzers.measured import Measurement as Measurement
from analyzers.measured import Outcome as Outcome
from analyzers.measured import PrecisionPoint as PrecisionPoint
from analyzers.measured import Quantization as Quantization
from analyzers.measured import Record as Record
from analyzers.measured import Split as Split
from analyzers.measured import Verification as Verification
from analyzers.mixed_precision import MixedPrecision

Kind = Literal["train", "analysis", "plan", "compression", "evaluation", "export"]
Status = Literal["running", "done", "failed", "cancelled"]
SplitName = Literal["train", "select", "test"]
Granularity = Literal["block", "sublayer"]
Objective = Literal["metric", "loss", "kl"]


# --- results, one for each kind of run --------------------------------------------------------------------------------


class Layer(Record):
    index: int  # position in the original model, 0-based
    name: str  # path of the module, e.g. bert.encoder.layer.3
    parameters: int


class LayerScore(Record):
    layer: int
    value: float
    low: float
    high: float


class Agreement(Record):
    kendall_w: float | None  # None with fewer than two methods
    tau: dict[str, dict[str, float]]  # method -> method -> Kendall's tau-b


class CurvePoint(Record):
    removed: list[int]
    loss: float
    metric: float


class Steadiness(Record):
    tau: float  # mean Kendall's tau between the order and those of bootstrap samples of the examples
    examples: int | None  # from so many examples on the order stays the same; None: more than were read
    read: int | None = None  # examples that the scores were computed on


class AnalysisResult(Record):
    task: str
    metric: str
    layers: list[Layer]
    scores: dict[str, list[LayerScore]]
    units: dict[str, str]
    agreement: Agreement
    fidelity: dict[str, Estimate]  # 1 = as good as the greedy oracle, 0 = as good as random order
    curves: dict[str, list[CurvePoint]]  # deletion curves by method, and "random" and "greedy"
    consensus: list[int]  # layers, the most important first
    believe: str | None  # the method with the highest fidelity
    stability: dict[str, Steadiness] = {}  # how sure the order of each method is
    failed: dict[str, str] = {}  # methods that could not be computed, and why
    diagnostics: dict[str, float] = {}  # e.g. completeness error of conductance, evaluations used


class Candidate(Record):
    source: str  # importance method, baseline, "search", ...
    remove: list[int]
    select: Outcome
    test: Outcome | None = None


class FrontierPoint(Record):
    keep: list[int]
    remove: list[int]
    ratio: float  # layers of the dense model / layers kept
    parameters: int
    select: Outcome


class Prediction(Record):
    """What the smaller model is expected to be, before it is made."""

    parameters: int
    disk_mb: float
    latency_ms: Estimate
    dense_latency_ms: Estimate
    conditions: str = ""  # of the latencies


class PlanResult(Record):
    target: dict[str, float]  # exactly one of ratio, keep, max_drop, max_latency, max_size
    task: str
    metric: str
    layers: list[Layer]  # or parts of layers, by granularity; what follows counts these
    remove: list[int]
    keep: list[int]
    dense: Outcome  # all layers, on select
    dense_test: Outcome
    candidates: list[Candidate]  # the chosen one first, then by quality on select
    frontier: list[FrontierPoint]
    precisions: list[PrecisionPoint] = []  # depth × precision, where it was asked for
    prediction: Prediction
    evaluations: int  # sets that saw all select examples
    exhaustive: bool  # every subset of the size was measured
    granularity: Granularity = "block"
    objective: Objective = "metric"
    spent: float | None = None  # work of the search, in sets on all select examples; as --budget it gives the same plan
    uncertain: list[str]


class HealingEpoch(Record):
    epoch: int
    train_loss: float
    select: Outcome


class Healing(Record):
    strategy: str
    epochs: list[HealingEpoch]
    best_epoch: int  # 0: the model before healing was the best
    seconds: float
    minutes: float | None = None  # that it might take
    data: list[str] = []  # whose texts it learned from, the data of the plan first
    weighting: str | None = None  # how much each layer counted in the distance of hidden states


class CompressionResult(Record):
    task: str
    metric: str
    removed: list[int]
    kept: list[int]
    format: str
    verified: Verification
    healing: Healing | None
    quantization: Quantization | None = None
    generation: Generation | None = None  # of language models


class TrainEpoch(Record):
    epoch: int
    train_loss: float
    select: Outcome
    seconds: float


class TrainResult(Record):
    task: str
    metric: str
    labels: list[str]
    layers: int
    parameters: int
    epochs: list[TrainEpoch]
    best_epoch: int
    stopped_early: bool


class EvaluationResult(Record):
    task: str
    metric: str
    layers: int
    parameters: int


class ExportResult(Record):
    format: str
    folder: str  # where the files are: absolute, a person may have named one outside the run
    files: list[Artifact]  # relative to that folder
    removed: list[int]  # layers that this export took out; those of its parents are not named again
    copied: bool  # quantized tensors byte for byte out of a GGUF file, none of them computed anew
    precision: str | None = None  # that the weights were lowered to, before what is verified was computed
    runtime: str  # what opened it in the fresh process, with its version
    verified: Verification
    commands: list[str]  # of other programs, to run the model


RESULTS: dict[str, type[Record]] = {
    "train": TrainResult,
    "analysis": AnalysisResult,
    "plan": PlanResult,
    "compression": CompressionResult,
    "evaluation": EvaluationResult,
    "export": ExportResult,
}


# --- a run ------------------------------------------------------------------------------------------------------------


class Run(Record):
    """Everything that is known about one thing that was done. `record.json` holds exactly this."""

    id: str
    kind: Kind
    status: Status
    created: datetime
    seconds: float = 0.0
    model: str
    data: str | None
    splits: dict[str, Split] = {}
    settings: dict[str, Any] = {}
    seed: int
    environment: Environment
    parents: list[str] = []
    command: str
    foretold: Forecasts | None = (
        None  # what it was expected to take, before it started; None: a record from before this
    )
    peak_mb: float | None = None  # most memory that its process had until it ended
    artifacts: list[Artifact] = []
    measurements: list[Measurement] = []
    result: SerializeAsAny[Record] | None = None
    error: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _result_of_its_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("result"), dict) and data.get("kind") in RESULTS:
            data = {**data, "result": RESULTS[data["kind"]].model_validate(data["result"])}
        return data

    def measured(self, name: str, subject: str | None = None, split: str | None = None) -> Measurement | None:
        """The first measurement of that name, subject and split, or None."""
        for measurement in self.measurements:
            if (
                measurement.name == name
                and subject in (None, measurement.subject)
                and split in (None, measurement.split)
            ):
                return measurement
        return None


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


# --- requests ---------------------------------------------------------------------------------------------------------


class Request(Record):
    """What a workflow is asked to do. `command()` is the line of the shell that asks for the same."""

    verb: ClassVar[str]
    positional: ClassVar[tuple[str, ...]]

    seed: int = Field(default=0, ge=0, lt=2**32)  # what NumPy and scikit-learn take

    def command(self) -> str:
        """The `layerwise` command that asks for exactly this, defaults that changed included."""
        words = ["layerwise", self.verb, *(str(getattr(self, name)) for name in self.positional)]
        for name, value in self._options():
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else [flag, str(value)]
        return shlex.join(words)

    def _options(self) -> Iterator[tuple[str, Any]]:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if name in self.positional or value is None or value is False:
                continue
            if name != "seed" and value == field.default:
                continue
            yield name, ",".join(map(str, value)) if isinstance(value, tuple) else value


class TrainRequest(Request):
    verb: ClassVar[str] = "train"
    positional: ClassVar[tuple[str, ...]] = ("model", "data")

    model: str
    data: str
    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=16, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    max_tokens: int = Field(default=128, ge=8)
    patience: int = Field(default=2, ge=1)
    mixed_precision: MixedPrecision = "auto"
    from_scratch: str | None = None  # path of a small configuration (YAML)


class AnalyzeRequest(Request):
    verb: ClassVar[str] = "analyze"
    positional: ClassVar[tuple[str, ...]] = ("model", "data")

    model: str
    data: str
    methods: tuple[str, ...] = ("main",)
    # Calibration examples; None: see analyzers/samples.py; auto: for each method until the order of its layers stays.
    samples: Annotated[int, Field(ge=8)] | Literal["auto"] | None = None
    max_tokens: int = Field(default=128, ge=8)
    batch_size: int = Field(default=16, ge=1)


class PlanRequest(Request):
    verb: ClassVar[str] = "plan"
    positional: ClassVar[tuple[str, ...]] = ("analysis",)

    analysis: str
    ratio: float | None = None
    keep: int | None = None
    max_drop: float | None = None
    max_latency: float | None = Field(default=None, gt=0)  # ms, of the batch that is timed
    max_size: float | None = Field(default=None, gt=0)  # MB of weights
    granularity: Granularity = "block"
    objective: Objective = "metric"
    budget: float | None = Field(default=None, gt=0)  # sets that may be measured; None: see analyzers/budget.py
    minutes: float | None = Field(default=None, gt=0)
    samples: int | None = Field(default=None, ge=8)  # of the select split; None: see analyzers/samples.py
    precisions: tuple[str, ...] = ()  # to measure the frontier at, beside float32

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if len(self.target()) != 1:
            raise BadTarget(
                f"{len(self.target())} targets were given; a plan needs exactly one of --ratio R, --keep N, --max-drop D, "
                "--max-latency MS, --max-size MB: for half the layers use --ratio 2"
            )
        return self

    def target(self) -> dict[str, float]:
        wanted = {name: getattr(self, name) for name in ("ratio", "keep", "max_drop", "max_latency", "max_size")}
        return {name: value for name, value in wanted.items() if value is not None}


def _strategy(name: str) -> str:
    if name != "none" and name not in strategies():
        raise ValueError(f"is no strategy of healing; there are: none, {', '.join(strategies())}")
    return name


Strategy = Annotated[
    str, AfterValidator(_strategy), WithJsonSchema({"type": "string", "enum": ["none", *strategies()]})
]


class CompressRequest(Request):
    verb: ClassVar[str] = "compress"
    positional: ClassVar[tuple[str, ...]] = ("plan",)

    plan: str
    heal: Strategy = "distill"
    epochs: int | None = Field(default=None, ge=1)  # of healing; None: 3, or as many as fit into the minutes
    heal_minutes: float | None = Field(default=None, gt=0)
    heal_data: tuple[str, ...] = Field(default=())  # data references whose texts are learned from without labels
    heal_weights: Literal["importance", "uniform"] = "importance"  # of the layers in the distance of hidden states
    mixed_precision: MixedPrecision = "auto"  # of healing
    quantize: str = "none"  # or one of analyzers.compression.quantization
    export: Literal["hf"] = "hf"


class EvaluateRequest(Request):
    verb: ClassVar[str] = "evaluate"
    positional: ClassVar[tuple[str, ...]] = ("model", "data")

    model: str
    data: str
    max_tokens: int = Field(default=128, ge=8)
    batch_size: int = Field(default=16, ge=1)
