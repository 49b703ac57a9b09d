"""Runs side by side: what was asked differently, what was measured, and whether a difference is more than chance."""

from typing import Any, Literal

from analyzers.errors import UsageError
from analyzers.records import AnalysisResult, LayerScore, Measurement, Record, Run
from knowledge.significance import Difference, difference

Verdict = Literal["first higher", "second higher", "cannot tell"]
OF_A_MACHINE = ("latency_ms", "throughput", "peak_memory_mb")


class SettingRow(Record):
    """One thing that was not the same in all runs; one value a run, None where a run has no such setting."""

    name: str
    values: list[Any]


class MeasurementRow(Record):
    """One quantity, as each run measured it."""

    name: str
    subject: str
    split: str | None
    conditions: str = ""
    unit: str
    values: list[Measurement | None]
    differences: list[Difference | None]  # of each run from the first one that measured it
    verdict: Verdict | None  # only for two runs that can be compared


class RankRow(Record):
    """The rank of each layer by one method, 1 = the most important; None where a run did not use the method."""

    method: str
    ranks: list[list[int] | None]  # run -> layer -> rank


class Comparison(Record):
    """What `compare` found. Lists inside the rows follow the order of `runs`."""

    runs: list[str]
    settings: list[SettingRow]
    measurements: list[MeasurementRow]
    ranks: list[RankRow]
    cautions: list[str]


def compare(runs: list[Run]) -> Comparison:
    """Put runs side by side.

    A difference is beyond chance when its 95 % interval (see `significance.difference`) leaves out zero; one that holds
    zero leaves it open, which is not the same as showing that there is none.

    Raises:
        UsageError: fewer than two runs, or one named twice.
    """
    names = [run.id for run in runs]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UsageError(f"a comparison needs two or more different runs, not {names}: layerwise runs compare ID ID")
    return Comparison(
        runs=names,
        settings=_settings(runs),
        measurements=_measurements(runs),
        ranks=_ranks(runs),
        cautions=_cautions(runs),
    )


def verdict(first: Measurement, second: Measurement) -> Verdict | None:
    """Whether two measurements differ beyond chance; None where one has no interval."""
    return _verdict(difference(first, second))


def _verdict(found: Difference | None) -> Verdict | None:
    if found is None:
        return None
    if not found.beyond_chance:
        return "cannot tell"
    return "second higher" if found.value > 0 else "first higher"


def _settings(runs: list[Run]) -> list[SettingRow]:
    described = [
        {
            "kind": run.kind,
            "status": run.status,
            "model": run.model,
            "data": run.data,
            "seed": run.seed,
            **run.settings,
            **{f"{name} split": f"{split.n} examples, {split.sha256[:8]}" for name, split in run.splits.items()},
            "cpu": run.environment.cpu,
            "device": run.environment.device,
            "python": run.environment.python,
            **run.environment.versions,
        }
        for run in runs
    ]
    keys = dict.fromkeys(key for fields in described for key in fields)  # in order of appearance
    rows = [SettingRow(name=key, values=[fields.get(key) for fields in described]) for key in keys]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def _measurements(runs: list[Run]) -> list[MeasurementRow]:
    keys = dict.fromkeys((m.name, m.subject, m.split, m.conditions) for run in runs for m in run.measurements)
    rows = []
    for key in keys:
        name, subject, split, conditions = key
        values = [_exactly(run, *key) for run in runs]
        there = [value for value in values if value is not None]
        differences = _differences(values, runs, name)
        rows.append(
            MeasurementRow(
                name=name,
                subject=subject,
                split=split,
                conditions=conditions,
                unit=there[0].unit,
                values=values,
                differences=differences,
                verdict=_verdict(differences[1]) if len(runs) == 2 else None,
            )
        )
    return rows


def _differences(values: list[Measurement | None], runs: list[Run], name: str) -> list[Difference | None]:
    """That of each run from the first that measured it; none of what two machines did, or of a number that is exact."""
    base = next((place for place, value in enumerate(values) if value is not None), 0)
    first, found = values[base], []
    for place, value in enumerate(values):
        alike = name not in OF_A_MACHINE or _machine(runs[place]) == _machine(runs[base])
        found.append(difference(first, value) if first and value and place > base and alike else None)
    return found


def _machine(run: Run) -> tuple[str, str]:
    return run.environment.cpu, run.environment.device


def _exactly(run: Run, name: str, subject: str, split: str | None, conditions: str) -> Measurement | None:
    wanted = (name, subject, split, conditions)
    return next((m for m in run.measurements if (m.name, m.subject, m.split, m.conditions) == wanted), None)


def _ranks(runs: list[Run]) -> list[RankRow]:
    scores = [run.result.scores if isinstance(run.result, AnalysisResult) else {} for run in runs]
    methods = dict.fromkeys(method for of_run in scores for method in of_run)
    return [
        RankRow(method=method, ranks=[ranks(of_run[method]) if method in of_run else None for of_run in scores])
        for method in methods
    ]


def ranks(scores: list[LayerScore]) -> list[int]:
    """Rank of each layer, in the order of the layers; 1 has the highest score, equal scores share the better rank."""
    ordered = sorted(scores, key=lambda score: score.layer)
    return [1 + sum(other.value > score.value for other in ordered) for score in ordered]


def _cautions(runs: list[Run]) -> list[str]:
    cautions = []
    tests = {run.splits["test"].sha256 for run in runs if "test" in run.splits}
    if len(tests) > 1:
        cautions.append("the runs were tested on different examples: their numbers are not of the same test")
    named = [run.splits["test"].sha256 for run in runs if "test" in run.splits]
    if len(named) > len(set(named)):
        cautions.append(
            "runs tested on the same examples are paired, and answers of single examples are not kept: the intervals of "
            "differences take them as independent, which is wider than need be"
        )
    if len({_machine(run) for run in runs}) > 1:
        cautions.append("the runs were made on different machines: compare no latency, throughput or memory")
    unfinished = [run.id for run in runs if run.status != "done"]
    if unfinished:
        cautions.append(f"not finished: {', '.join(unfinished)}")
    return cautions
