"""The sections of a report, each from the runs of one kind."""

from collections.abc import Sequence

from analyzers.records import (
    AnalysisResult,
    CompressionResult,
    EvaluationResult,
    ExportResult,
    HealingEpoch,
    Measurement,
    Outcome,
    PlanResult,
    Run,
    Steadiness,
    TrainEpoch,
    TrainResult,
    Verification,
)
from knowledge.comparison import ranks
from knowledge.notes import names as note_names
from knowledge.notes import note
from tools import figures
from tools.report_content import Bars, Block, Chart, Command, Explanation, Fact, Facts, Section, Table, bar
from tools.wording import count, duration, layers, significant, title, units, with_interval


def training(runs: list[Run]) -> Section:
    """How each model was trained."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, TrainResult):
            early = ", stopped early" if result.stopped_early else ""
            what = (
                f"{run.model} on {run.data}: {result.layers} layers, {count(result.parameters)} parameters, "
                f"labels {', '.join(result.labels[:10])}{' and more' if len(result.labels) > 10 else ''}. "
                f"The checkpoint of epoch {result.best_epoch} of {len(result.epochs)} was kept{early}."
            )
            blocks += [Facts([Fact(what, run.id)]), *_epochs(run, result.epochs, result.best_epoch, result.metric)]
            blocks.append(measured(run, "Measured after training"))
    return Section("training", "Training", blocks)


def scores(runs: list[Run]) -> Section:
    """Importance of each layer by each method, in its own unit."""
    blocks: list[Block] = []
    methods: dict[str, None] = {}
    for run in runs:
        if isinstance(result := run.result, AnalysisResult):
            methods.update(dict.fromkeys(result.scores))
            charts = [
                Bars(
                    f"{title(method)} ({result.units.get(method, '')})",
                    method,
                    "",
                    [bar(f"layer {score.layer}", score) for score in sorted(found, key=lambda s: s.layer)],
                )
                for method, found in result.scores.items()
            ]
            blocks.append(
                Chart("Score of each layer, with 95 % intervals", figures.scores_with_intervals(result), charts, run.id)
            )
            blocks.append(_score_table(run, result))
    return Section("scores", "Layer importance", blocks + _explained(list(methods)))


def agreement(runs: list[Run]) -> Section:
    """Whether the methods put the layers in the same order."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, AnalysisResult) and len(result.agreement.tau) > 1:
            names = list(result.agreement.tau)
            if result.agreement.kendall_w is not None:
                text = f"Kendall's W = {result.agreement.kendall_w:.2f} (0: no agreement, 1: the same order)."
                blocks.append(Facts([Fact(text, run.id)]))
            blocks.append(Chart("Kendall's τ between methods", figures.agreement_matrix(result), [], run.id))
            rows = []
            for one in names:
                row = [result.agreement.tau[one].get(other) for other in names]
                rows.append([title(one), *("-" if value is None else f"{value:.2f}" for value in row)])
            blocks.append(Table(["τ", *(title(name) for name in names)], rows, run.id))
    return Section("agreement", "Agreement of the methods", blocks + (_explained(["agreement"]) if blocks else []))


def _steady(found: Steadiness | None) -> list[str]:
    if found is None:
        return ["", ""]
    return [f"{found.tau:.2f}", str(found.examples) if found.examples else "more than were read"]


def fidelity(runs: list[Run]) -> Section:
    """Which method to believe."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, AnalysisResult) and result.curves:
            ordered = sorted(result.fidelity.items(), key=lambda item: -item[1].value)
            rows = [bar(title(name), estimate) for name, estimate in ordered]
            charts = [Bars("fidelity (0 = random order, 1 = greedy)", "fidelity", "", rows)]
            blocks.append(Chart("Deletion curves", figures.deletion_curves(result), charts, run.id))
            blocks.append(
                Table(
                    ["method", "fidelity (95 % interval)", "steadiness", "examples needed"],
                    [
                        [title(name), with_interval(found), *_steady(result.stability.get(name))]
                        for name, found in ordered
                    ],
                    run.id,
                    "Fidelity 0: as random order; 1: as the greedy oracle. Steadiness: mean Kendall's τ between the order and "
                    "those of bootstrap samples; examples needed until the order stays the same (τ from 0.9)",
                )
            )
            steps = max(len(curve) for curve in result.curves.values())
            first = min((len(c[0].removed) for name, c in result.curves.items() if c and name != "random"), default=1)
            rows_of_loss = [
                [str(first + k), *(significant(c[k].loss) if k < len(c) else "" for c in result.curves.values())]
                for k in range(steps)
            ]
            header = ["removed", *(title(name) for name in result.curves)]
            blocks.append(Table(header, rows_of_loss, run.id, "Loss after so many layers are removed, by order"))
    return Section("fidelity", "Which method to believe", blocks + (_explained(["fidelity"]) if blocks else []))


def plans(runs: list[Run]) -> Section:
    """What to remove, and everything it was compared with."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, PlanResult):
            blocks += _plan(run, result)
    return Section("plan", "The plan", blocks + (_explained(["plan"]) if blocks else []))


def compressions(runs: list[Run]) -> Section:
    """The smaller models: measured, verified, healed."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, CompressionResult):
            blocks += _compression(run, result)
    return Section(
        "compression",
        "The smaller model",
        blocks + (_explained(["healing", "quantization", "generation"]) if blocks else []),
    )


def evaluations(runs: list[Run]) -> Section:
    """Models measured on other data."""
    found = [run for run in runs if isinstance(run.result, EvaluationResult)]
    return Section("evaluation", "Evaluations", [measured(run, f"{run.model} on {run.data}") for run in found])


def exports(runs: list[Run]) -> Section:
    """What was written for other programs, and how it was proved."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, ExportResult):
            what = f"Written as {result.format}, {', '.join(file.path for file in result.files)}"
            copied = "; quantized tensors were copied byte for byte" if result.copied else ""
            blocks += [Facts([Fact(f"{what}{copied}.", run.id)]), measured(run, "Size")]
            blocks.append(_verification(run, f"{result.format}, opened by {result.runtime}", result.verified))
            blocks += [Command(command, run.id) for command in result.commands]
    return Section("exports", "For other programs", blocks)


def measured(run: Run, caption: str) -> Table:
    """All measurements of a run."""
    rows = [[_what(m), m.subject, m.split or "", with_interval(m), f"{m.n:,}" if m.n else ""] for m in run.measurements]
    return Table(["measured", "subject", "split", "value (95 % interval)", "n"], rows, run.id, caption)


def _epochs(
    run: Run, epochs: Sequence[TrainEpoch | HealingEpoch], best: int, metric: str, caption: str = "Epochs"
) -> list[Block]:
    rows = [[str(e.epoch), significant(e.train_loss), *_outcome(metric, e.select)] for e in epochs]
    marked = next((number for number, epoch in enumerate(epochs) if epoch.epoch == best), None)
    bars = [bar(f"epoch {epoch.epoch}", epoch.select.metric) for epoch in epochs]
    header = ["epoch", "train loss", f"{title(metric)} on select", "loss on select"]
    return [
        Chart(
            caption,
            figures.training_curve(epochs, best, metric),
            [Bars(f"{title(metric)} on the select split", metric, "", bars)],
            run.id,
        ),
        Table(header, rows, run.id, marked=marked),
    ]


def _score_table(run: Run, result: AnalysisResult) -> Table:
    placed = {method: ranks(found) for method, found in result.scores.items()}
    ordered = {method: sorted(found, key=lambda score: score.layer) for method, found in result.scores.items()}
    place = {layer: number for number, layer in enumerate(result.consensus, start=1)}
    rows = []
    for position, layer in enumerate(result.layers):
        cells = []
        for method, found in ordered.items():
            score = found[position]
            between = f"{significant(score.low)} to {significant(score.high)}"
            cells.append(f"{significant(score.value)}  #{placed[method][position]}\n{between}")
        rows.append([str(layer.index), *cells, f"#{place.get(layer.index, '-')}"])
    header = ["layer", *(f"{title(m)} ({result.units.get(m, '')})" for m in result.scores), "consensus"]
    return Table(header, rows, run.id, "#1 is the most important; higher scores mean more important")


def _plan(run: Run, plan: PlanResult) -> list[Block]:
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
    candidate_bars = [bar(title(c.source), c.select.metric) for c in plan.candidates]
    frontier_bars = [bar(f"{len(point.keep)} layers", point.select.metric) for point in sizes]
    split = f"{title(plan.metric)} on select"
    dense = ["all layers", "none", *_outcome(plan.metric, plan.dense), *_outcome(plan.metric, plan.dense_test)]
    rows = [
        [title(c.source), units(plan, c.remove), *_outcome(plan.metric, c.select), *_outcome(plan.metric, c.test)]
        for c in plan.candidates
    ]
    return [
        Facts(facts),
        Chart("Which layers stay and which go", figures.tower(plan.layers, plan.remove), [], run.id),
        Chart(
            "The plan and every baseline",
            figures.candidates(plan),
            [Bars(split, plan.metric, "", candidate_bars)],
            run.id,
        ),
        Table(
            ["from", "removes", split, "loss", f"{title(plan.metric)} on test", "loss on test"],
            [dense, *rows],
            run.id,
            f"{plan.evaluations} sets measured{', all of that size' if plan.exhaustive else ''}; the plan is marked",
            marked=1 if rows else None,
        ),
        Chart("Quality against size", figures.frontier(plan), [Bars(split, plan.metric, "", frontier_bars)], run.id),
        Table(
            ["layers kept", "removes", "times smaller", "parameters", split, "loss"],
            [
                [
                    str(len(point.keep)),
                    layers(point.remove),
                    f"{point.ratio:.2f}",
                    count(point.parameters),
                    *_outcome(plan.metric, point.select),
                ]
                for point in sizes
            ],
            run.id,
            marked=next((number for number, point in enumerate(sizes) if point.remove == plan.remove), None),
        ),
        *_precisions(run, plan),
    ]


def _precisions(run: Run, plan: PlanResult) -> list[Block]:
    """Depth × precision, where it was asked for."""
    if not plan.precisions:
        return []
    rows = [
        [
            str(len(point.keep)),
            title(point.precision),
            with_interval(point.select.metric, plan.metric),
            f"{point.disk_mb:.4g} MB",
            with_interval(point.latency_ms, unit="ms"),
            "" if point.dominated else "*",
        ]
        for point in plan.precisions
    ]
    split = f"{title(plan.metric)} on select"
    header = [
        "layers kept",
        "weights",
        split,
        "size on disk (predicted)",
        f"latency, {plan.precisions[0].conditions}",
        "",
    ]
    caption = "Depth × precision; *: no other point is at least as good in quality, size and latency and better in one"
    bars = [
        bar(f"{len(point.keep)} layers, {title(point.precision)}", point.select.metric)
        for point in plan.precisions
        if not point.dominated
    ]
    return [
        Chart(
            "Quality against size on disk, by precision",
            figures.precisions(plan),
            [Bars(f"{split}, points that are not dominated", plan.metric, "", bars)],
            run.id,
        ),
        Table(header, rows, run.id, caption),
    ]


def _compression(run: Run, result: CompressionResult) -> list[Block]:
    by_name: dict[tuple[str, str], Bars] = {}
    for m in run.measurements:
        by_name.setdefault((m.name, m.conditions), Bars(_what(m), m.name, m.unit, [])).rows.append(bar(m.subject, m))
    blocks: list[Block] = [
        Facts([Fact(f"Removed layers {layers(result.removed)}; kept {layers(result.kept)}.", run.id)])
    ]
    if run.measurements:
        charts = list(by_name.values())
        blocks.append(Chart("Before and after", figures.before_after(run.measurements), charts, run.id))
        blocks.append(measured(run, "Measured before and after"))
    blocks.append(_verification(run, result.format, result.verified))
    if stored := result.quantization:
        share = f"{100 * stored.share:.0f} % of the parameters are stored as {stored.precision} by {stored.library}"
        blocks.append(Facts([Fact(f"{share}; the others are float32.", run.id)]))
    if written := result.generation:
        rows = [[text.prompt, text.dense, text.compressed] for text in written.texts]
        caption = f"Greedy texts of at most {written.tokens} tokens after {written.prompt_tokens} of the test split"
        blocks.append(Table(["after", "the dense model writes", "the smaller model writes"], rows, run.id, caption))
    if healing := result.healing:
        how = f"Healing by {healing.strategy}: {duration(healing.seconds)}, epoch {healing.best_epoch} was kept."
        blocks.append(Facts([Fact(how, run.id)]))
        blocks += _epochs(run, healing.epochs, healing.best_epoch, result.metric, "Healing (epoch 0: before it)")
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


def _outcome(metric: str, outcome: Outcome | None) -> list[str]:
    return [with_interval(outcome.metric, metric), significant(outcome.loss.value)] if outcome else ["", ""]


def _explained(names: list[str]) -> list[Block]:
    return [
        Explanation(note(name).title, note(name).text, list(note(name).sources))
        for name in names
        if name in note_names()
    ]


def _what(measurement: Measurement) -> str:
    return ", ".join(filter(None, (title(measurement.name), measurement.conditions)))
