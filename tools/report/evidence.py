"""What the layers of a model were measured to be worth: data, training, scores, agreement, fidelity."""

from analyzers.records import AnalysisResult, Run, Split, Steadiness, TrainResult
from knowledge.comparison import ranks
from tools.report.blocks import Gallery, epochs, explained, measured
from tools.report.content import Block, Fact, Facts, Section, Table
from tools.wording import count, significant, title, with_interval

SHOWN_CLASSES = 10


def data(runs: list[Run]) -> Section:
    """Classes, lengths and sizes of the splits; runs on the same data share a table."""
    seen: dict[str, tuple[str, dict[str, Split], list[str]]] = {}
    for run in runs:
        if run.splits:
            # a record from before profiles has the same checksums: the one that tells more is shown
            key = " ".join(split.sha256 for split in run.splits.values())
            data, splits, used = seen.get(key, (run.data or "", run.splits, []))
            told = run.splits if any(split.lengths for split in run.splits.values()) else splits
            seen[key] = (data, told, [*used, run.id])
    blocks: list[Block] = []
    for name, splits, used in seen.values():
        classes = list(dict.fromkeys(each for split in splits.values() for each in split.classes))
        rows = [_split(part, split, classes) for part, split in splits.items()]
        header = [
            "split",
            "examples",
            *classes[:SHOWN_CLASSES],
            *_others(classes),
            "characters: median",
            "95 % up to",
            "longest",
        ]
        if not any(split.lengths for split in splits.values()):
            header, rows = header[:2], [row[:2] for row in rows]
        blocks.append(Table(header, rows, used[0], f"{name}, used by {', '.join(used)}"))
    if blocks:
        what = (
            "No text is in two splits. Models are fitted on train and scores computed on a sample of it; plans and "
            "checkpoints are chosen on select; test was touched for the reported numbers only."
        )
        blocks.insert(0, Facts([Fact(what)]))
    return Section("data", blocks)


def _split(name: str, split: Split, classes: list[str]) -> list[str]:
    shown = [split.classes.get(each, 0) for each in classes[:SHOWN_CLASSES]]
    rest = [f"{split.n - sum(shown):,}"] if len(classes) > SHOWN_CLASSES else []
    lengths = split.lengths
    told = [f"{each:,.0f}" for each in (lengths.median, lengths.most, lengths.longest)] if lengths else [""] * 3
    shares = [f"{each:,} ({100 * each / split.n:.1f} %)" for each in shown]
    return [name, f"{split.n:,}", *shares, *rest, *told]


def _others(classes: list[str]) -> list[str]:
    return [f"{len(classes) - SHOWN_CLASSES} other classes"] if len(classes) > SHOWN_CLASSES else []


def training(runs: list[Run], gallery: Gallery) -> Section:
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
            blocks += [
                Facts([Fact(what, run.id)]),
                *gallery.chart(run, "training"),
                epochs(run, result.epochs, result.best_epoch, result.metric),
                measured(run, "Measured after training"),
            ]
    return Section("training", blocks)


def scores(runs: list[Run], gallery: Gallery) -> Section:
    """Importance of each layer by each method, in its own unit."""
    blocks: list[Block] = []
    methods: dict[str, None] = {}
    for run in runs:
        if isinstance(result := run.result, AnalysisResult):
            methods.update(dict.fromkeys(result.scores))
            blocks += [*gallery.chart(run, "scores"), *gallery.chart(run, "score_map"), _score_table(run, result)]
            blocks += [
                Facts([Fact(f"{title(name)} could not be computed: {why}", run.id)])
                for name, why in result.failed.items()
            ]
    return Section("scores", blocks + explained(list(methods)))


def agreement(runs: list[Run], gallery: Gallery) -> Section:
    """Whether the methods put the layers in the same order."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, AnalysisResult) and len(result.agreement.tau) > 1:
            names = list(result.agreement.tau)
            if result.agreement.kendall_w is not None:
                text = f"Kendall's W = {result.agreement.kendall_w:.2f} (0: no agreement, 1: the same order)."
                blocks.append(Facts([Fact(text, run.id)]))
            blocks += gallery.chart(run, "agreement")
            rows = []
            for one in names:
                row = [result.agreement.tau[one].get(other) for other in names]
                rows.append([title(one), *("-" if value is None else f"{value:.2f}" for value in row)])
            blocks.append(Table(["τ", *(title(name) for name in names)], rows, run.id))
    return Section("agreement", blocks + (explained(["agreement"]) if blocks else []))


def _steady(found: Steadiness | None) -> list[str]:
    if found is None:
        return ["", ""]
    return [f"{found.tau:.2f}", str(found.examples) if found.examples else "more than were read"]


def fidelity(runs: list[Run], gallery: Gallery) -> Section:
    """Which method to believe."""
    blocks: list[Block] = []
    for run in runs:
        if isinstance(result := run.result, AnalysisResult) and result.curves:
            ordered = sorted(result.fidelity.items(), key=lambda item: -item[1].value)
            blocks += gallery.chart(run, "deletion")
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
    return Section("fidelity", blocks + (explained(["fidelity"]) if blocks else []))


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
