"""What every record is made of: the base of them all, and what was measured, on what, where."""

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    # JSON has no NaN: as null, the loss of a model that was cut too far would make its record unreadable.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


# --- what was measured ------------------------------------------------------------------------------------------------


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


class Split(Record):
    n: int
    sha256: str  # over the examples of the split, in their order


class Environment(Record):
    python: str
    platform: str
    cpu: str
    cores: int
    device: str
    versions: dict[str, str]
