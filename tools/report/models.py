"""What became of the model: plans, smaller models, evaluations, exports, what all that took, and texts."""

from analyzers.records import CompressionResult, EvaluationResult, ExportResult, PlanResult, Run, Verification
from tools.deviations import NAMES, amount, deviations, expected, off
from tools.figures.precisions import precision_table
from tools.report.blocks import Gallery, epochs, explained, measured, outcome
from tools.report.content import Block, Command, Fact, Facts, Section, Table
from tools.wording import count, duration, layers, significant, size, title, units, with_interval


def plans(runs: list[Run], gallery: Gallery) -> Section:
    """What to remove, and everything it was compared with."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, PlanResult):
            blocks += _plan(run, result, gallery)
    return Section("plan", blocks + (explained(["plan"]) if blocks else []))


def compressions(runs: list[Run], gallery: Gallery) -> Section:
    """The smaller models: measured, verified, healed."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, CompressionResult):
            blocks += _compression(run, result, gallery)
    return Section(
        "compression",
        blocks + (explained(["healing", "quantization"]) if blocks else []),
    )


def evaluations(runs: list[Run]) -> Section:
    """Models measured on other data."""
    found = [run for run in runs if isinstance(run.result, EvaluationResult)]
    return Section("evaluation", [measured(run, f"{run.model} on {run.data}") for run in found])


def exports(runs: list[Run]) -> Section:
    """What was written for other programs, and how it was proved."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, ExportResult):
            what = f"Written as {result.format}, {', '.join(file.path for file in result.files)}"
            weights = "; quantized tensors were copied byte for byte" if result.copied else ""
            weights = f"; weights in {result.precision}" if result.precision else weights
            blocks += [Facts([Fact(f"{what}{weights}.", run.id)]), measured(run, "Size")]
            blocks.append(_verification(run, f"{result.format}, opened by {result.runtime}", result.verified))
            blocks += [Command(command, run.id) for command in result.commands]
    return Section("exports", blocks)


def cost(runs: list[Run]) -> Section:
    """Time, memory and disk of each step, beside what was foretold before it started."""
    spent = [
        [
            run.id,
            duration(run.seconds),
            amount("memory_mb", run.peak_mb),
            size(sum(each.bytes for each in run.artifacts)),
        ]
        for run in runs
    ]
    blocks: list[Block] = [
        Table(["run", "time", "most memory of its process", "files"], spent, caption="What each step took")
    ]
    rows = [
        [run.id, NAMES[each.name], expected(each), amount(each.name, each.took), off(each), each.source]
        for run in runs
        for each in deviations(run)
    ]
    if rows:
        header = ["run", "what", "foretold", "took", "how far off", "foretold from"]
        blocks.append(Table(header, rows, caption="What was foretold before each step, and what came"))
    if silent := [run.id for run in runs if run.foretold is None]:
        blocks.append(Facts([Fact(f"No forecast was kept with {', '.join(silent)}.")]))
    return Section("cost", blocks)


def texts(runs: list[Run]) -> Section:
    """The same prompts, by the dense and by the smaller model."""
    blocks: list[Block] = []
    for run in runs:
        written = run.result.generation if isinstance(run.result, CompressionResult) else None
        if written:
            rows = [[text.prompt, text.dense, text.compressed] for text in written.texts]
            caption = f"Greedy texts of at most {written.tokens} tokens after {written.prompt_tokens} of the test split"
            blocks.append(Table(["after", "the dense model writes", "the smaller model writes"], rows, run.id, caption))
    return Section("texts", blocks + (explained(["generation"]) if blocks else []))


def _plan(run: Run, plan: PlanResult, gallery: Gallery) -> list[Block]:
    target = ", ".join(f"{title(name)} {value:g}" for name, value in plan.target.items())
    p = plan.prediction
    facts = [
        Fact(f"Target: {target}. Remove layers {units(plan, plan.remove)}; keep {units(plan, plan.keep)}.", run.id),
        Fact(
            f"Predicted: {count(p.parameters)} parameters, {p.disk_mb:.1f} MB, "
            f"{with_interval(p.latency_ms, unit='ms')} instead of {with_interval(p.dense_latency_ms, unit='ms')}.",
            run.id,
        ),
    ]
    sizes = sorted(plan.frontier, key=lambda point: -len(point.keep))
    split = f"{title(plan.metric)} on select"
    dense = ["all layers", "none", *outcome(plan.metric, plan.dense), *outcome(plan.metric, plan.dense_test)]
    rows = [
        [title(c.source), units(plan, c.remove), *outcome(plan.metric, c.select), *outcome(plan.metric, c.test)]
        for c in plan.candidates
    ]
    return [
        Facts(facts),
        *gallery.chart(run, "tower"),
        *gallery.chart(run, "candidates"),
        Table(
            ["from", "removes", split, "loss", f"{title(plan.metric)} on test", "loss on test"],
            [dense, *rows],
            run.id,
            f"{plan.evaluations} sets measured{', among them all of that size' if plan.exhaustive else ''}; the plan is marked",
            marked=1 if rows else None,
        ),
        *gallery.chart(run, "frontier"),
        Table(
            ["layers kept", "removes", "times smaller", "parameters", split, "loss"],
            [
                [
                    str(len(point.keep)),
                    layers(point.remove),
                    f"{point.ratio:.2f}",
                    count(point.parameters),
                    *outcome(plan.metric, point.select),
                ]
                for point in sizes
            ],
            run.id,
            marked=next((number for number, point in enumerate(sizes) if point.remove == plan.remove), None),
        ),
        *_precisions(run, plan, gallery),
    ]


def _precisions(run: Run, plan: PlanResult, gallery: Gallery) -> list[Block]:
    """Depth × precision, where it was asked for."""
    if not plan.precisions:
        return []
    header, rows = precision_table(plan)
    caption = "Depth × precision; dominated: another point is at least as good in quality, size and latency, and better in one"
    return [*gallery.chart(run, "precisions"), Table(header, rows, run.id, caption)]


def _compression(run: Run, result: CompressionResult, gallery: Gallery) -> list[Block]:
    blocks: list[Block] = [
        Facts([Fact(f"Removed layers {layers(result.removed)}; kept {layers(result.kept)}.", run.id)]),
        *gallery.chart(run, "before_after"),
        *([measured(run, "Measured before and after")] if run.measurements else []),
    ]
    blocks.append(_verification(run, result.format, result.verified))
    if stored := result.quantization:
        share = f"{100 * stored.share:.0f} % of the parameters are stored as {stored.precision} by {stored.library}"
        blocks.append(Facts([Fact(f"{share}; the others are float32.", run.id)]))
    if healing := result.healing:
        how = f"Healing by {healing.strategy}: {duration(healing.seconds)}, epoch {healing.best_epoch} was kept."
        blocks.append(Facts([Fact(how, run.id)]))
        blocks += [
            *gallery.chart(run, "healing"),
            epochs(run, healing.epochs, healing.best_epoch, result.metric),
        ]
    return blocks


def _verification(run: Run, form: str, proof: Verification) -> Table:
    text = {True: "the same", False: "different", None: "not a language model"}[proof.same_text]
    return Table(
        ["verification", "result"],
        [
            ["format", form],
            ["opened in a fresh process", "yes" if proof.reloaded_in_fresh_process else "no"],
            ["greatest difference of logits, relative to the largest", significant(proof.max_logit_difference)],
            ["generated text", text],
        ],
        run.id,
    )
