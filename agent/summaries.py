"""Runs as a few lines of text on a terminal."""

from collections.abc import Iterable

from analyzers.records import (
    AnalysisResult,
    Candidate,
    CompressionResult,
    EvaluationResult,
    ExportResult,
    Measurement,
    Outcome,
    PlanResult,
    Run,
    Steadiness,
    TrainResult,
    Verification,
)
from knowledge.comparison import ranks
from tools.deviations import line as deviations_in_a_line
from tools.wording import count, duration, layers, number, significant, title, units, with_interval

SUBJECTS = ("dense", "predicted", "compressed", "healed", "quantized", "exported")


def table(header: list[str], rows: Iterable[Iterable[str]]) -> str:
    """Columns of equal width; the first to the left, numbers to the right."""
    lines = [header, *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    right = [
        all(line[column][:1].isdigit() or line[column][:1] in "-" for line in lines[1:])
        for column in range(len(header))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def summary(run: Run) -> str:
    """What was found, and the command to type next."""
    head = f"{run.id}  {run.status} in {duration(run.seconds)}  {run.model}" + (f" on {run.data}" if run.data else "")
    parts = [head]
    if run.error:
        parts.append(f"error   {run.error}")
    match run.result:
        case TrainResult() as trained:
            parts += _train(run, trained)
        case AnalysisResult() as analysis:
            parts += _analysis(analysis)
        case PlanResult() as plan:
            parts += _plan(run, plan)
        case CompressionResult() as compression:
            parts += _compression(run, compression)
        case EvaluationResult() as evaluation:
            parts += [f"{evaluation.layers} layers, {count(evaluation.parameters)} parameters", _measurements(run)]
        case ExportResult() as exported:
            parts += _export(run, exported)
    if told := deviations_in_a_line(run):
        parts.append(f"took    {told}")
    if following := _next(run):
        parts.append(f"next    {following}")
    return "\n".join(parts)


def gist(run: Run) -> str:
    """The result in a few words."""
    match run.result:
        case AnalysisResult() as analysis:
            return f"most important: {layers(analysis.consensus[:3])}"
        case PlanResult() as plan:
            return f"remove {layers(plan.remove)}"
        case ExportResult() as exported:
            return f"{exported.format} in {exported.folder}"
        case TrainResult() | CompressionResult() | EvaluationResult() as result:
            for subject in ("quantized", "healed", "compressed", None):
                if found := run.measured(result.metric, subject, "test"):
                    return f"{title(found.name)} {number(found.value, found.name, found.unit)}"
    return run.error or ""


def _train(run: Run, result: TrainResult) -> list[str]:
    early = ", stopped early" if result.stopped_early else ""
    what = f"{result.layers} layers, {count(result.parameters)} parameters, {len(result.labels)} labels"
    best = f"best epoch {result.best_epoch} of {len(result.epochs)}{early}"
    return [f"{what}; {best}", _measurements(run)]


def _analysis(result: AnalysisResult) -> list[str]:
    methods = list(result.scores)
    by_layer = {method: {score.layer: score for score in scores} for method, scores in result.scores.items()}
    placed = {method: ranks(scores) for method, scores in result.scores.items()}
    position = {layer: place for place, layer in enumerate(result.consensus, start=1)}
    rows = [
        [
            str(layer.index),
            *(f"{significant(by_layer[m][layer.index].value)} (#{placed[m][i]})" for m in methods),
            f"#{position.get(layer.index, '-')}",
        ]
        for i, layer in enumerate(result.layers)
    ]
    header = ["layer", *(title(method) for method in methods), "consensus"]
    units = ", ".join(f"{title(method)} in {unit}" for method, unit in result.units.items() if method in methods)
    parts = [table(header, rows), f"#1 is the most important; {units}"]
    if result.agreement.kendall_w is not None:
        parts.append(f"agreement of the methods: Kendall's W = {result.agreement.kendall_w:.2f} (1 = the same order)")
    if result.fidelity:
        ordered = sorted(result.fidelity.items(), key=lambda item: -item[1].value)
        shown = ", ".join(f"{title(name)} {estimate.value:.2f}" for name, estimate in ordered)
        parts.append(f"fidelity (0 = random order, 1 = greedy): {shown}")
    if result.stability:
        shown = ", ".join(f"{title(name)} {_examples(each)}" for name, each in result.stability.items())
        parts.append(f"examples until the order stays: {shown}")
    parts += [f"not computed: {name}: {why}" for name, why in result.failed.items()]
    if result.believe:
        parts.append(f"believe first: {title(result.believe)}")
    return parts


def _examples(found: Steadiness) -> str:
    return str(found.examples) if found.examples else "more than there were"


def _plan(run: Run, result: PlanResult) -> list[str]:
    name = result.metric
    prediction = result.prediction
    faster = prediction.dense_latency_ms.value / prediction.latency_ms.value
    parts = [
        f"remove layers {units(result, result.remove)}; keep {units(result, result.keep)}",
        f"predicted: {count(prediction.parameters)} parameters, {prediction.disk_mb:.0f} MB, {faster:.1f}x as fast",
        table(
            ["chosen from", "removes", f"{title(name)} on select", "loss", f"{title(name)} on test"],
            [
                ["all layers", "none", *_outcomes(name, result.dense, result.dense_test)],
                *([title(c.source), units(result, c.remove), *_candidate(name, c)] for c in result.candidates),
            ],
        ),
        f"{result.evaluations} sets of layers measured"
        + (", among them all of that size" if result.exhaustive else _spent(run, result)),
    ]
    if result.precisions:
        parts.append(_precisions(result))
    return parts + [f"not certain: {text}" for text in result.uncertain]


def _precisions(result: PlanResult) -> str:
    """Depth × precision."""
    rows = [
        [
            str(len(point.keep)),
            title(point.precision),
            with_interval(point.select.metric, result.metric),
            f"{point.disk_mb:.4g}",
            with_interval(point.latency_ms),
            "" if point.dominated else "*",
        ]
        for point in result.precisions
    ]
    header = [
        "layers",
        "weights",
        f"{title(result.metric)} on select",
        "MB (predicted)",
        f"ms, {result.precisions[0].conditions}",
        "",
    ]
    return table(header, rows) + "\n* no other point is at least as good in all three"


def _spent(run: Run, result: PlanResult) -> str:
    """The work of a search; where minutes were given, the number as --budget gives the same plan again."""
    if result.spent is None:
        return ""
    work = " on all select examples, and more on some"
    budget = run.settings.get("budget")
    if not budget:
        return f"{work}: a budget of {result.spent:g}"
    over = "; the baselines are measured in any case" if result.spent > budget else ""
    return f"{work}: {result.spent:g} evaluations, for a budget of {budget:g}{over}"


def _candidate(name: str, candidate: Candidate) -> list[str]:
    return _outcomes(name, candidate.select, candidate.test)


def _outcomes(name: str, select: Outcome, test: Outcome | None) -> list[str]:
    return [
        with_interval(select.metric, name),
        significant(select.loss.value),
        with_interval(test.metric, name) if test else "-",
    ]


def _compression(run: Run, result: CompressionResult) -> list[str]:
    proof = result.verified
    checked = _proof(proof)
    parts = [
        f"removed layers {layers(result.removed)}; kept {layers(result.kept)}; saved as {result.format}",
        f"verified in a fresh process: {checked}" if proof.reloaded_in_fresh_process else f"verified: {checked}",
    ]
    if healing := result.healing:
        parts.append(f"healed by {healing.strategy}: best epoch {healing.best_epoch}, {duration(healing.seconds)}")
    if stored := result.quantization:
        parts.append(f"{100 * stored.share:.0f} % of the parameters stored as {stored.precision} by {stored.library}")
    parts.append(_measurements(run))
    for text in result.generation.texts if result.generation else ():
        parts += [
            f"after   {_line(text.prompt)}",
            f"  dense    {_line(text.dense)}",
            f"  smaller  {_line(text.compressed)}",
        ]
    return parts


def _line(text: str) -> str:
    return " ".join(text.split())


def _export(run: Run, result: ExportResult) -> list[str]:
    parts = [
        f"wrote {result.format} to {result.folder}: {', '.join(file.path for file in result.files)}",
        *([f"removed layers {layers(result.removed)}"] if result.removed else []),
        *(["quantized tensors copied as they were"] if result.copied else []),
        *([f"weights in {result.precision}"] if result.precision else []),
        f"verified in a fresh process by {result.runtime}: {_proof(result.verified)}",
        _measurements(run),
    ]
    return [*parts, *(f"run     {command}" for command in result.commands)]


def _proof(proof: Verification) -> str:
    checked = f"greatest difference of logits {proof.max_logit_difference:.1e}"
    return checked if proof.same_text is None else f"{checked}, {'same' if proof.same_text else 'different'} text"


def _measurements(run: Run) -> str:
    """Rows are quantities, columns what was measured."""
    subjects = [name for name in SUBJECTS if any(m.subject == name for m in run.measurements)]
    subjects += sorted({m.subject for m in run.measurements} - set(subjects))
    keys = dict.fromkeys((m.name, m.split, m.conditions) for m in run.measurements)
    if not keys:
        return "nothing was measured"
    rows = []
    for name, split, conditions in keys:
        key = (name, split, conditions)
        found: list[Measurement | None] = [
            next((m for m in run.measurements if (m.name, m.split, m.conditions) == key and m.subject == s), None)
            for s in subjects
        ]
        n = next((m.n for m in found if m and m.n), None)
        rows.append(
            [
                f"{title(name)}{conditions and ', '}{conditions}",
                *(with_interval(m) if m else "-" for m in found),
                split or "",
                f"n = {n}" if n else "",
            ]
        )
    return table(["measured (95 % interval)", *subjects, "split", ""], rows)


def _next(run: Run) -> str:
    if run.status != "done":
        return ""
    data = run.data or "DATA"
    match run.kind:
        case "train":
            return f"layerwise analyze {run.id} {data}"
        case "analysis":
            return f"layerwise plan {run.id} --ratio 2"
        case "plan" if isinstance(run.result, PlanResult) and run.result.granularity != "block":
            return ""  # parts of blocks cannot be saved
        case "plan":
            alone = isinstance(run.result, PlanResult) and not run.result.remove
            return f"layerwise compress {run.id}{' --quantize int8' if alone else ''}"
        case "compression":
            return f"layerwise report {run.id} --out report.html"
    return ""
