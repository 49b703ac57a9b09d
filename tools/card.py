"""The README.md beside an exported model: what it comes from, and what was measured, each number with its run."""

from dataclasses import dataclass

from analyzers.compression.formats import Format
from analyzers.errors import LayerwiseError
from analyzers.records import CompressionResult, ExportResult, Run
from tools.rendering import rendered
from tools.wording import cells, count, layers
from tools.workspace import Workspace


def lineage(run: Run, workspace: Workspace) -> list[Run]:
    """The runs that a run comes from, the oldest first, itself last. Those that were deleted since are left out."""
    found: dict[str, Run] = {}
    waiting = [run]
    while waiting:
        each = waiting.pop()
        if each.id in found:
            continue
        found[each.id] = each
        for parent in each.parents:
            try:
                waiting.append(workspace.runs.get(parent))
            except LayerwiseError:
                continue
    return sorted(found.values(), key=lambda each: (each.created, each.id == run.id))


@dataclass(frozen=True)
class Exported:
    """What a card says of the model itself."""

    name: str
    form: Format
    causal: bool
    layers: int
    parameters: int
    removed: tuple[int, ...]  # by this export
    precision: str | None  # that this export lowered the weights to


def card(run: Run, about: Exported, workspace: Workspace) -> str:
    """Markdown with the front matter that model hubs read.

    Args:
        run: the export, not finished yet.
        about: what is exported.
        workspace: has the runs before it.
    """
    runs = lineage(run, workspace)
    language, text = about.form.usage(about.name, about.causal)
    gone = [
        (each.id, each.result.removed) for each in runs if isinstance(each.result, CompressionResult | ExportResult)
    ]
    return rendered(
        "model_card.md.j2",
        name=about.name,
        what=about.form.TITLE,
        base=workspace.runs.base_model(run),
        layers=about.layers,
        parameters=count(about.parameters),
        precision=about.precision,
        removed=[
            {"run": name, "layers": layers(list(which))} for name, which in [*gone, (run.id, about.removed)] if which
        ],
        task="text-generation" if about.causal else "text-classification",
        example={"language": language, "text": text},
        runs=runs,
        runtime=about.form.RUNTIME,
        export=run.id,
        measurements=[[*cells(measured), f"`{each.id}`"] for each in runs for measured in each.measurements],
    )
