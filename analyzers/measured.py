"""What a measurement gives: the records that results are made of, without torch.

`analyzers.records` hands them on; import them from there.
"""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    # JSON has no NaN: as null, the loss of a model that was cut too far would make its record unreadable.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Measurement(Record):
    """One measured number with its 95 % interval."""

    name: str  # accuracy f1 loss perplexity latency_ms throughput peak_memory_mb disk_mb parameters ...
    subject: str  # what was measured: "dense", "compressed" (before healing), "healed", ...
    split: str | None = None  # train, select or test; None where no data was involved
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    n: int | None = None  # examples, tokens or repetitions behind the value
    conditions: str = ""  # what the value holds for, e.g. "16 texts of 19 tokens" for a latency


class Estimate(Record):
    """A value with its 95 % interval; `low` and `high` are None where nothing was resampled."""

    value: float
    low: float | None = None
    high: float | None = None


class Artifact(Record):
    path: str  # relative to the folder of the run
    sha256: str
    bytes: int


class Lengths(Record):
    """Characters of the texts of a split."""

    shortest: int
    median: float
    most: float  # 95 of 100 texts have no more
    longest: int


class Split(Record):
    n: int
    sha256: str  # over the examples of the split, in their order
    classes: dict[str, int] = {}  # examples of each label; none: texts without labels, or a record from before these
    lengths: Lengths | None = None  # None: a record from before these


class Environment(Record):
    python: str
    platform: str
    cpu: str
    cores: int
    device: str
    engine: str = "local"  # or "ray, 2 workers"; it changes no number but those of time
    versions: dict[str, str]


class Outcome(Record):
    """How a set of kept layers did on one split."""

    metric: Estimate
    loss: Estimate
    divergence: Estimate | None = None  # KL(dense ‖ this) in nats, where it was the objective


class Verification(Record):
    max_logit_difference: float  # relative to the largest logit
    same_text: bool | None  # None: not a language model
    reloaded_in_fresh_process: bool


class PrecisionPoint(Record):
    """A set of layers whose weights are stored at a precision."""

    precision: str  # "none": float32; otherwise one of analyzers.compression.quantization
    keep: list[int]
    remove: list[int]
    select: Outcome  # measured, with the layers skipped in the quantized model
    disk_mb: float  # predicted: the bytes of all tensors
    latency_ms: Estimate  # measured the same way
    conditions: str  # of the latency
    dominated: bool  # another point is at least as good in quality, size and latency, and better in one of them


class Quantization(Record):
    precision: str
    library: str  # that opens it, with its version
    share: float  # of the parameters that are stored at the precision; the others are float32


class GeneratedText(Record):
    """What two models write after the same beginning."""

    prompt: str
    dense: str
    compressed: str


class Forecast(Record):
    """An expected value and where it is from."""

    value: float
    n: int  # earlier runs behind it; 0: computed
    runs: tuple[str, ...]  # their ids, the newest first
    basis: str  # what it is proportional to, or the arithmetic
    at_least: bool = False


class Forecasts(Record):
    """Of one step, before it started. A value that is None has its reason in `unknown`, under the name of the field."""

    seconds: Forecast | None = None
    memory_mb: Forecast | None = None
    disk_mb: Forecast | None = None
    unknown: dict[str, str] = {}


class Generation(Record):
    """Greedy texts, looked at; how they compare is among the measurements of the run."""

    tokens: int  # written at most
    prompt_tokens: int
    texts: list[GeneratedText]
