"""The end of a report: how to repeat it, with what it was made, and what it cannot say."""

from analyzers.records import AnalysisResult, CompressionResult, PlanResult, Run
from tools.report_content import Block, Command, Fact, Facts, Section, Table
from tools.wording import duration, size


def commands(runs: list[Run]) -> Section:
    """The command that reproduces each run, in their order."""
    return Section("commands", "Commands that reproduce this", [Command(run.command, run.id) for run in runs])


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
        rows = [[name, _text(value)] for name, value in ({"seed": run.seed} | run.settings).items()]
        blocks.append(Table(["setting", "value"], rows, run.id))
    return Section("settings", "Runs and settings", blocks)


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
    return Section("environment", "Environment", blocks)


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
    return Section("checksums", "Checksums", blocks)


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
    if "analysis" in kinds:
        few = [run for run in runs if isinstance(run.result, AnalysisResult) and run.settings.get("samples", 0) < 256]
        facts += [Fact(f"Scores rest on {run.settings.get('samples')} calibration examples.", run.id) for run in few]
    for run in runs:
        if isinstance(run.result, PlanResult) and not run.result.exhaustive:
            facts.append(Fact("Not every set of layers was measured; a better one may exist.", run.id))
    if "plan" in kinds:
        facts.append(
            Fact(
                "A plan is the best of many on the select split, which flatters it; the test split is the fair number."
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
    return Section("limits", "Limits", [Facts(facts)])


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
