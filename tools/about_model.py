"""What is known of a model before it is loaded."""

import json
from pathlib import Path

from analyzers.errors import UnknownModel
from analyzers.records import CompressionResult, Run, TrainResult
from analyzers.references import DEMO_MODELS, parse_model
from tools.wording import count, layers, size
from tools.workspace import Workspace

Facts = list[tuple[str, str]]

_OF_CONFIG = {
    "model_type": "architecture",
    "num_hidden_layers": "layers",
    "hidden_size": "width",
    "vocab_size": "vocabulary",
}


def about_model(named: str, workspace: Workspace) -> Facts:
    """Names and values, in the order in which they are read.

    Raises:
        UnknownModel: nothing of that name can be a model.
        UnknownRun: there is no such run.
        DamagedRecord: its record cannot be read.
    """
    reference = parse_model(named)
    match reference.kind:
        case "run":
            return _run(workspace.runs.get(reference.value))
        case "folder":
            return [("folder", reference.value), *_config(Path(reference.value))]
        case "gguf":
            return [("file", reference.value), ("size", size(Path(reference.value).expanduser().stat().st_size))]
        case "demo":
            there = (workspace.cache / reference.value).exists()
            return [
                ("demo model", DEMO_MODELS[reference.value]),
                ("fetched", "yes" if there else "when it is first used"),
            ]
        case _:
            return [("Hugging Face", f"{reference.value}: looked up when it is used, which needs the network")]


def _run(run: Run) -> Facts:
    made = [("run", f"{run.id}, {run.status}"), ("made from", run.model)]
    match run.result:
        case TrainResult() as trained:
            return [
                *made,
                ("layers", str(trained.layers)),
                ("parameters", count(trained.parameters)),
                ("labels", ", ".join(trained.labels[:20])),
            ]
        case CompressionResult() as smaller:
            found = run.measured("parameters", "healed") or run.measured("parameters", "compressed")
            return [
                *made,
                ("layers", f"{len(smaller.kept)}, without {layers(smaller.removed)}"),
                *([("parameters", count(found.value))] if found else []),
            ]
    raise UnknownModel(f"{run.id} made no model; name a train or a compression run: layerwise runs list")


def _config(folder: Path) -> Facts:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UnknownModel(f"{folder} has no config.json that can be read; name the folder of a saved model") from None
    return [
        (words, str(found[name])) for name, words in _OF_CONFIG.items() if isinstance(found, dict) and name in found
    ]
