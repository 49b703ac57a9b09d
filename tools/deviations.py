"""How far off a forecast was: what was foretold of a run before it started, beside what it took."""

from analyzers.records import ExportResult, Forecast, Record, Run
from tools.wording import duration, significant, size
from tools.workload import peak_of

NAMES = {"seconds": "time", "memory_mb": "memory", "disk_mb": "disk"}
BATCH = "a timed first batch"


class Deviation(Record):
    """One quantity of one run; `took` is None where it was not measured, `foretold` where nothing was known."""

    name: str  # a field of `Forecasts`
    foretold: float | None
    took: float | None
    at_least: bool = False  # the forecast was the least that it would take
    source: str  # where the forecast is from, or why there is none

    @property
    def times(self) -> float | None:
        """What it took, as a multiple of what was foretold."""
        return self.took / self.foretold if self.took is not None and self.foretold else None


def deviations(run: Run) -> list[Deviation]:
    """Of a finished run; empty where nothing was foretold, as in records from before forecasts were kept."""
    if run.status != "done":
        return []
    found = []
    took = {"seconds": run.seconds, "memory_mb": peak_of(run), "disk_mb": _disk(run)}
    if run.foretold:
        for name, value in took.items():
            forecast: Forecast | None = getattr(run.foretold, name)
            if forecast is None:
                source = run.foretold.unknown.get(name, "nothing was known")
                found.append(Deviation(name=name, foretold=None, took=value, source=source))
            else:
                found.append(
                    Deviation(
                        name=name,
                        foretold=forecast.value,
                        took=value,
                        at_least=forecast.at_least,
                        source=f"{forecast.basis}; {_runs(forecast.n)}" if forecast.n else forecast.basis,
                    )
                )
    for name, measure in (("seconds", "seconds"), ("memory_mb", "peak_memory_mb")):
        before, after = run.measured(measure, "expected"), run.measured(measure, "measured")
        if before and after:
            found.append(Deviation(name=name, foretold=before.value, took=after.value, source=BATCH))
    return found


def amount(name: str, value: float | None) -> str:
    """A time or a size as people read it."""
    if value is None:
        return "not measured"
    return duration(value) if name == "seconds" else size(value * 1e6)


def expected(deviation: Deviation) -> str:
    """What was foretold, or that nothing was."""
    if deviation.foretold is None:
        return "unknown"
    return ("at least " if deviation.at_least else "") + amount(deviation.name, deviation.foretold)


def off(deviation: Deviation) -> str:
    """`1.16 times that`, or empty where there is nothing to divide by."""
    return f"{significant(deviation.times)} times that" if deviation.times is not None else ""


def line(run: Run) -> str:
    """All of a run in one line; empty where nothing was foretold."""
    parts = []
    for each in deviations(run):
        if each.foretold is not None and each.took is not None and (each.foretold or each.took):
            told = f"{NAMES[each.name]} {amount(each.name, each.took)}, foretold {expected(each)}"
            by = " by a first batch" if each.source == BATCH else ""
            parts.append(told + by + (f" ({off(each)})" if off(each) else ""))
    return "; ".join(parts)


def _disk(run: Run) -> float:
    files = run.result.files if isinstance(run.result, ExportResult) else run.artifacts  # those may lie elsewhere
    return round(sum(each.bytes for each in files) / 1e6, 1)


def _runs(n: int) -> str:
    return f"{n} earlier run{'' if n == 1 else 's'}"
