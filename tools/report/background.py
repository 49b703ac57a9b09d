"""The end of a report: how to repeat it, with what it was made, and what it cannot say."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from analyzers.records import AnalysisResult, CompressionResult, PlanResult, Run
from tools.report.content import Block, Command, Fact, Facts, Section, Table
from tools.report.summary import handed_over
from tools.wording import SHARES, duration, size, title

FEW = 256  # calibration examples; fewer are named among the limits


def commands(runs: list[Run]) -> Section:
    """One command for the whole, and the command of each run, in their order."""
    again = [Facts([Fact("All of it again, run by run from what is recorded, and which numbers come out the same:")])]
    return Section("commands", [*again, Command(reproduce(runs)), *(Command(run.command, run.id) for run in runs)])


def reproduce(runs: list[Run]) -> str:
    """The one command that makes every run again, each from the runs that it came from, and compares the numbers."""
    return " && ".join(f"layerwise reproduce {run.id}" for run in runs)


def settings(runs: list[Run]) -> Section:
    """Every run with everything it was asked."""
    blocks: list[Block] = [
        Table(
            ["run", "kind", "status", "when (UTC)", "took", "model", "data", "from"],
            [
                [
                    run.id,
                    run.kind,
                    run.status,
                    f"{run.created:%Y-%m-%d %H:%M:%S}",
                    duration(run.seconds),
                    run.model,
                    run.data or "",
                    ", ".join(run.parents),
                ]
                for run in runs
            ],
        )
    ]
    for run in runs:
        asked = {"seed": run.seed} | run.settings
        rows = [[name, _text(value)] for name, value in asked.items() if value not in (None, [], "")]
        if unset := [name for name, value in asked.items() if value in (None, [], "")]:
            rows.append(["not set", ", ".join(unset)])
        blocks.append(Table(["setting", "value"], rows, run.id))
    return Section("settings", blocks)


def environment(runs: list[Run]) -> Section:
    """Machine and versions; runs of the same surroundings share a table."""
    blocks: list[Block] = []
    different = list({run.environment.model_dump_json(): run.environment for run in runs}.values())
    for found in different:
        here = [run.id for run in runs if run.environment == found]
        rows = [
            ["python", found.python],
            ["platform", found.platform],
            ["cpu", f"{found.cpu}, {found.cores} cores"],
            ["device", found.device],
            *([name, version] for name, version in found.versions.items()),
        ]
        blocks.append(Table(["environment", "value"], rows, caption=f"of {', '.join(here)}"))
    return Section("environment", blocks)


def checksums(runs: list[Run]) -> Section:
    """SHA-256 of the splits and of every artifact."""
    splits: dict[tuple[str, str], list[str]] = {}
    for run in runs:
        for name, split in run.splits.items():
            splits.setdefault((name, f"{split.n:,} examples, {split.sha256}"), []).append(run.id)
    artifacts = [
        [run.id, artifact.path, size(artifact.bytes), artifact.sha256] for run in runs for artifact in run.artifacts
    ]
    blocks: list[Block] = []
    if splits:
        rows = [[name, what, ", ".join(used)] for (name, what), used in splits.items()]
        blocks.append(Table(["split", "examples and SHA-256", "used by"], rows))
    if artifacts:
        blocks.append(Table(["run", "artifact", "size", "SHA-256"], artifacts))
    return Section("checksums", blocks)


def limits(runs: list[Run]) -> Section:
    """What these numbers do not say."""
    there = {run.id for run in runs}
    kinds = {run.kind for run in runs}
    facts = [
        Fact(
            "Intervals hold 95 % and come from resampling examples (repetitions for times). They do not cover another "
            "seed, another training or other data."
        )
    ]
    seeds = sorted({run.seed for run in runs})
    if len(seeds) == 1:
        facts.append(
            Fact(f"Everything was done with the one seed {seeds[0]}: how far another seed moves it is not known.")
        )
    facts += list(islice((fact for run in reversed(runs) for fact in _of_the_test(run)), 1))
    facts += [fact for run in runs for fact in (*_of_an_analysis(run), *_of_texts(run))]
    for run in runs:
        if isinstance(run.result, PlanResult) and not run.result.exhaustive:
            facts.append(Fact("Not every set of layers was measured; a better one may exist.", run.id))
    if "plan" in kinds:
        facts.append(
            Fact(
                "A plan is the best of many on the select split, which flatters it; the test split is the fair number. Of the "
                "baselines only the best one was tested there."
            )
        )
    machines = sorted({f"{run.environment.cpu} ({run.environment.device})" for run in runs})
    facts.append(
        Fact(f"Times and memory are those of this machine: {', '.join(machines)}. Measure again where it will run.")
    )
    if any(isinstance(run.result, CompressionResult) and run.result.healing for run in runs):
        facts.append(Fact("A healed model was fitted to this data; evaluate it on other data before relying on it."))
    for run in runs:
        if missing := [parent for parent in run.parents if parent not in there]:
            facts.append(Fact(f"It came from {', '.join(missing)}, which is not in this report.", run.id))
        if run.status != "done":
            facts.append(Fact(f"It is {run.status}: what it would have measured is missing here.", run.id))
    return Section("limits", [Facts(_once(facts))])


def _once(facts: list[Fact]) -> list[Fact]:
    """What holds for several runs is said once, of none of them."""
    times = Counter(fact.text for fact in facts)
    said = [fact if times[fact.text] == 1 else Fact(fact.text) for fact in facts]
    return list(dict.fromkeys(said))


def _of_the_test(run: Run) -> Iterator[Fact]:
    """How small a difference the test can see: half the width of the interval of what is reported."""
    metric = getattr(run.result, "metric", "")
    found = run.measured(metric, handed_over(run), "test") or run.measured(metric, "dense", "test")
    if metric in SHARES and found and found.n and found.low is not None and found.high is not None:
        half = 50 * (found.high - found.low)
        text = f"On {found.n:,} test examples the {title(metric)} is known to about {half:.1f} points to either side"
        yield Fact(f"{text}: what differs by less cannot be told from chance.", run.id)


def _of_an_analysis(run: Run) -> Iterator[Fact]:
    if not isinstance(run.result, AnalysisResult):
        return
    read = run.result.diagnostics.get("calibration_examples") or run.settings.get("samples")
    if isinstance(read, int | float) and read < FEW:
        yield Fact(f"Scores rest on {read:.0f} calibration examples.", run.id)
    yield Fact(
        "Which method to believe was measured on this model and this data; it says nothing about others. A method may put "
        "single layers right and sets of layers wrong: only the plan measures sets.",
        run.id,
    )
    unsteady = [title(name) for name, each in run.result.stability.items() if each.examples is None]
    if unsteady:
        yield Fact(f"With these examples the order of the layers is not settled by: {', '.join(unsteady)}.", run.id)


def _of_texts(run: Run) -> Iterator[Fact]:
    written = run.result.generation if isinstance(run.result, CompressionResult) else None
    if written:
        yield Fact(
            f"{len(written.texts)} texts are shown, greedy and of at most {written.tokens} tokens: enough to see that a model "
            "still writes, not to judge what it knows.",
            run.id,
        )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
