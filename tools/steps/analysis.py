"""Score the layers of a model."""

import shutil
import time

from analyzers.analysis import analyze_splits
from analyzers.estimate import Expected
from analyzers.footprint import memory_peak
from analyzers.importance import choose
from analyzers.journal import Journal
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, Measurement, Run
from analyzers.samples import ROWS
from analyzers.storage import storage_errors
from tools.engines import Engine, engine_of
from tools.inputs import Inputs, fingerprint, open_inputs
from tools.recording import recording, unfinished
from tools.wording import duration, size
from tools.workspace import Workspace


def run(request: AnalyzeRequest, workspace: Workspace, progress: Progress) -> Run:
    choose(request.methods)  # a misspelt method is said before a model is loaded
    inputs = open_inputs(request.model, request.data, request.seed, workspace, progress)
    with engine_of(workspace) as engine:
        return _analyze(request, workspace, progress, inputs, engine)


def _analyze(request: AnalyzeRequest, workspace: Workspace, progress: Progress, inputs: Inputs, engine: Engine) -> Run:
    samples = request.samples or ROWS[inputs.loaded.task.name].calibration
    with recording(
        workspace,
        "analysis",
        request,
        model=request.model,
        data=request.data,
        splits=inputs.splits.fingerprints,
        parents=inputs.parents,
        settings=inputs.settings | {"samples": samples},
        device=str(inputs.device),
        again=unfinished("analysis", request, workspace),
        engine=engine.name,
    ) as active:
        work = active.folder / "work"
        journal = Journal(work)
        journal.only_for(fingerprint(inputs, request))
        with storage_errors(work):
            began, foretold = time.monotonic(), list[Measurement]()

            def tell(expected: Expected) -> None:
                least = "at least " if request.samples == "auto" else ""
                progress.say(
                    f"this takes {least}about {duration(expected.seconds)} and {size(expected.bytes)} of memory in all"
                )
                foretold.extend(_spent("expected", expected.seconds, expected.bytes))

            # One timed batch says what this process would take, not what a cluster does.
            foretells = None if engine.executor.elsewhere else tell
            active.result = analyze_splits(
                inputs.loaded, inputs.splits, request, progress, journal, foretells, engine.executor
            )
            active.measurements = foretold + _spent("measured", time.monotonic() - began, memory_peak())
        shutil.rmtree(work, ignore_errors=True)
    return active.finished


def _spent(subject: str, seconds: float, peak: float) -> list[Measurement]:
    """Time and memory of an analysis, as they were expected from one batch or as they came out."""
    return [
        Measurement(name="seconds", subject=subject, value=round(seconds, 3), unit="s"),
        Measurement(name="peak_memory_mb", subject=subject, value=round(peak / 1e6, 1), unit="MB"),
    ]
