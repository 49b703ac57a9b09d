"""The first lines of a report: what to remove, what it costs, how sure that is."""

from analyzers.records import AnalysisResult, CompressionResult, Estimate, Measurement, PlanResult, Run, TrainResult
from knowledge.comparison import verdict
from tools.report.content import Fact, Tile
from tools.wording import SHARES, count, layers, number, significant, title, with_interval


def headline(runs: list[Run]) -> str:
    """One or two sentences about the run that is furthest along."""
    run = _furthest(runs)
    match run.result if run else None:
        case CompressionResult() as result if run:
            gone, all_layers = len(result.removed), len(result.removed) + len(result.kept)
            return f"{gone} of {all_layers} layers were removed: {layers(result.removed)}. {_cost(run, result.metric)}"
        case PlanResult() as plan:
            chosen = plan.candidates[0].select if plan.candidates else plan.dense
            faster = plan.prediction.dense_latency_ms.value / plan.prediction.latency_ms.value
            return (
                f"{len(plan.remove)} of {len(plan.layers)} layers can go: {layers(plan.remove)}. "
                f"That leaves {number(chosen.metric.value, plan.metric)} {title(plan.metric)} on the select split "
                f"instead of {number(plan.dense.metric.value, plan.metric)}, "
                f"with no healing yet; predicted {faster:.2f} times as fast."
            )
        case AnalysisResult() as analysis:
            first, last = layers(analysis.consensus[:2]), layers(analysis.consensus[-2:])
            return f"The most important layers are {first}; those that matter least are {last}."
        case TrainResult() as trained if run:
            found = run.measured(trained.metric, None, "test")
            reached = f"{title(trained.metric)} {with_interval(found)} on the test split" if found else "no test yet"
            return f"A model of {trained.layers} layers was trained: {reached}."
    return "What was done, with what, and what came out."


def tiles(runs: list[Run]) -> list[Tile]:
    """The numbers of every compression; of the last training where nothing was compressed yet."""
    found = [tile for run in runs if isinstance(run.result, CompressionResult) for tile in _compression(run)]
    if found:
        return found
    trained = [run for run in runs if isinstance(run.result, TrainResult)]
    return [
        Tile(title(m.name), number(m.value, m.name, m.unit), _between(m), run.id)
        for run in trained[-1:]
        for m in run.measurements[:4]
    ]


def certainty(runs: list[Run]) -> list[Fact]:
    """How sure the rest is, in sentences; what was done last comes first."""
    facts: list[Fact] = []
    for run in reversed(runs):
        match run.result:
            case AnalysisResult() as analysis:
                facts += _agreement(run, analysis)
            case PlanResult() as plan:
                facts += _plan(run, plan)
            case CompressionResult() as compression:
                facts += _compressed(run, compression)
        if run.status != "done":
            facts.append(Fact(f"This run is {run.status}{f': {run.error}' if run.error else ''}.", run.id))
    return facts


def handed_over(run: Run) -> str:
    """What a compression produced in the end: the quantized model, the healed one, or what was left of the layers."""
    there = {m.subject for m in run.measurements}
    return next((subject for subject in ("quantized", "healed") if subject in there), "compressed")


def _furthest(runs: list[Run]) -> Run | None:
    for kind in ("compression", "plan", "analysis", "train"):
        found = [run for run in runs if run.kind == kind and run.result is not None]
        if found:
            return found[-1]
    return None


def _pair(run: Run, name: str) -> tuple[Measurement, Measurement] | None:
    """A quantity of the dense model and of what became of it, on the same split."""
    for split in ("test", None):
        before, after = run.measured(name, "dense", split), run.measured(name, handed_over(run), split)
        if before and after and before.split == after.split:
            return before, after
    return None


def _cost(run: Run, metric: str) -> str:
    parts = []
    if metric in SHARES and (kept := run.measured(f"{metric}_ratio")):
        # shown as the share that it is: 0.99 of an accuracy is 99.0 %
        parts.append(f"the smaller model keeps {with_interval(_estimate(kept), metric)} of the {title(metric)}")
    elif pair := _pair(run, metric):
        before, after = pair
        parts.append(f"the {title(metric)} goes from {number(before.value, metric)} to {number(after.value, metric)}")
    if faster := run.measured("speedup"):
        parts.append(f"it is {with_interval(_estimate(faster), unit='times')} as fast")
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else "Nothing was measured."


def _estimate(found: Measurement) -> Estimate:
    return Estimate(value=found.value, low=found.low, high=found.high)


def _compression(run: Run) -> list[Tile]:
    found = []
    metric = run.result.metric if isinstance(run.result, CompressionResult) else "accuracy"
    for name in (metric, "latency_ms", "parameters", "disk_mb", "peak_memory_mb"):
        if pair := _pair(run, name):
            before, after = pair
            was = f"was {number(before.value, name, before.unit)}"
            note = f"{_between(after)} · {was}" if _between(after) else was
            found.append(Tile(title(name), number(after.value, name, after.unit), note, run.id))
    return found[:4]


def _between(found: Measurement) -> str:
    text = with_interval(found)
    return text[text.index("(") + 1 : -1] if "(" in text else ""


def _agreement(run: Run, analysis: AnalysisResult) -> list[Fact]:
    facts = []
    w = analysis.agreement.kendall_w
    if w is not None:
        how = "mostly agree" if w >= 0.7 else "partly agree" if w >= 0.4 else "disagree"
        facts.append(
            Fact(
                f"The {len(analysis.scores)} methods {how} on the order of the layers (Kendall's W = {w:.2f}).", run.id
            )
        )
    if analysis.believe and analysis.believe in analysis.fidelity:
        fidelity = with_interval(analysis.fidelity[analysis.believe])
        facts.append(
            Fact(
                f"The method to believe first is {title(analysis.believe)}: fidelity {fidelity}, "
                "where 0 is random order and 1 the greedy oracle.",
                run.id,
            )
        )
    return facts


def _plan(run: Run, plan: PlanResult) -> list[Fact]:
    how = "the plan is the best of all sets of its size" if plan.exhaustive else "not all that there are"
    facts = [Fact(f"{plan.evaluations} sets of layers were measured on the select split; {how}.", run.id)]
    chosen = plan.candidates[0] if plan.candidates else None
    if chosen and chosen.test:
        facts.append(
            Fact(
                f"On the test split, touched once, the plan without healing has {title(plan.metric)} "
                f"{with_interval(chosen.test.metric, plan.metric)}; all layers have "
                f"{with_interval(plan.dense_test.metric, plan.metric)}.",
                run.id,
            )
        )
    return facts + [Fact(f"Not certain: {text.rstrip('.')}.", run.id) for text in plan.uncertain]


def _compressed(run: Run, result: CompressionResult) -> list[Fact]:
    facts = []
    if pair := _pair(run, result.metric):
        before, after = pair
        meaning = {
            "first higher": "the interval of the difference leaves out zero: it is more than chance",
            "second higher": "the interval of the difference leaves out zero: it is more than chance",
            "cannot tell": "the interval of the difference holds zero: this test cannot tell the two apart",
            None: "no interval was measured",
        }[verdict(before, after)]
        facts.append(
            Fact(
                f"Test {title(result.metric)}: {with_interval(after)} after, {with_interval(before)} before"
                f"{f', on {after.n:,} examples' if after.n else ''}; {meaning}.",
                run.id,
            )
        )
    proof = result.verified
    where = "opened again in a fresh process" if proof.reloaded_in_fresh_process else "opened again"
    text = {True: ", and the same text was generated", False: ", but the generated text differs", None: ""}
    facts.append(
        Fact(
            f"The saved model was {where} and compared with the masked one: logits differ by at most "
            f"{significant(proof.max_logit_difference)} of the largest{text[proof.same_text]}.",
            run.id,
        )
    )
    size = run.measured("parameters", handed_over(run))
    return [*facts, *([Fact(f"It has {count(size.value)} parameters.", run.id)] if size else [])]
