"""Whether what a run was made from is still what it was: its data, the files of its model, the libraries, the machine.

The command of a run names models and data; this looks at what is behind the names now.
"""

from pathlib import Path
from typing import Any

from analyzers import datasets
from analyzers.datasets.splits import split
from analyzers.errors import LayerwiseError
from analyzers.models import pick_device
from analyzers.progress import Progress
from analyzers.records import Record, Run, Split
from analyzers.references import parse_data, parse_model
from analyzers.tasks.language_modeling import LanguageModeling
from tools.inputs import MODEL_SHA256, SCRATCH_SHA256, sha256_of
from tools.machine import environment
from tools.workspace import Workspace


class Changes(Record):
    """What is different from when a run was made, in words; all empty: nothing is known to be."""

    inputs: tuple[str, ...] = ()  # data or files with another content, or that are gone
    unknown: tuple[str, ...] = ()  # what the record of the run does not allow to tell
    surroundings: tuple[str, ...] = ()  # versions of libraries, processor, device
    lost: tuple[str, ...] = ()  # files of the run itself


class Present:
    """What is there now. Each data set is read once.

    Args:
        workspace: has the runs and the cache.
        progress: told about downloads.
    """

    def __init__(self, workspace: Workspace, progress: Progress) -> None:
        self._workspace = workspace
        self._progress = progress
        self._splits: dict[tuple[str, int, bool, int], dict[str, Split]] = {}

    def changes(self, run: Run) -> Changes:
        """What has changed since the run was made.

        Raises:
            StorageError: a file cannot be read.
        """
        inputs = [*self._data(run)]
        unknown = []
        for setting, path in _files(run):
            recorded = run.settings.get(setting)
            if not path.exists():
                inputs.append(f"{path} is gone")
            elif recorded is None:
                unknown.append(f"its record does not say what {path} held")
            elif sha256_of(path) != recorded:
                inputs.append(f"{path} holds something else")
        if others := [name for name in run.settings.get("heal_data") or () if not name.startswith("demo:")]:
            unknown.append(f"its record does not say what {', '.join(others)} held")
        return Changes(
            inputs=tuple(inputs),
            unknown=tuple(unknown),
            surroundings=tuple(self._surroundings(run)),
            lost=tuple(self._lost(run)),
        )

    def _data(self, run: Run) -> list[str]:
        if run.data is None or not run.splits:
            return []
        labelled = getattr(run.result, "task", None) != LanguageModeling.name
        seed = int(run.settings.get("split_seed", run.seed))
        try:
            reference = parse_data(run.data)
            file = Path(reference.value)
            stamp = file.stat().st_mtime_ns if file.is_file() else 0  # it may change while this looks on
            key = (run.data, seed, labelled, stamp)
            if key not in self._splits:
                found = datasets.load(reference, self._workspace.cache, self._progress, labelled)
                self._splits[key] = split(found, seed).fingerprints
        except LayerwiseError as problem:
            return [f"{run.data} cannot be read: {problem}"]
        now = self._splits[key]
        other = [name for name, part in run.splits.items() if now[name] != part]
        return [f"{run.data} has other texts in: {', '.join(other)}"] if other else []

    def _surroundings(self, run: Run) -> list[str]:
        now, then = environment(str(pick_device(self._workspace.device))), run.environment
        pairs: dict[str, tuple[Any, Any]] = {
            name: (getattr(then, name), getattr(now, name)) for name in ("python", "platform", "cpu", "device")
        }
        pairs |= {name: (then.versions.get(name), now.versions.get(name)) for name in now.versions}
        return [f"{name} was {before}, is {after}" for name, (before, after) in pairs.items() if before != after]

    def _lost(self, run: Run) -> list[str]:
        folder = self._workspace.runs.folder(run.id)
        there = {each.path: folder / each.path for each in run.artifacts}
        sizes = {each.path: each.bytes for each in run.artifacts}
        lost = [name for name, path in there.items() if not path.is_file() or path.stat().st_size != sizes[name]]
        place = Path(getattr(run.result, "folder", folder))
        return [*lost, *([str(place)] if not place.is_dir() else [])]


def _files(run: Run) -> list[tuple[str, Path]]:
    """Files and folders that the request names, each with the setting that holds its checksum."""
    scratch = run.settings.get("from_scratch")
    if scratch:  # the name of the model is then only what it is called
        return [(SCRATCH_SHA256, Path(scratch).expanduser())]
    try:
        model = parse_model(run.model)
    except LayerwiseError:
        return [(MODEL_SHA256, Path(run.model.removeprefix("gguf:")).expanduser())]
    return [(MODEL_SHA256, Path(model.value))] if model.kind in ("folder", "gguf") else []
