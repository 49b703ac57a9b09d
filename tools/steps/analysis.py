"""Score the layers of a model."""

import shutil

from analyzers.analysis import analyze as analyze_layers
from analyzers.compression.export import storage_errors
from analyzers.importance import choose
from analyzers.journal import Journal
from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, Run
from analyzers.samples import ROWS
from analyzers.training import token_limit
from tools.inputs import fingerprint, open_inputs
from tools.recording import recording, unfinished
from tools.workspace import Workspace


def run(request: AnalyzeRequest, workspace: Workspace, progress: Progress) -> Run:
    choose(request.methods)  # a misspelt method is said before a model is loaded
    inputs = open_inputs(request.model, request.data, request.seed, workspace, progress)
    loaded = inputs.loaded
    samples = request.samples or ROWS[loaded.task.name].calibration
    limit = token_limit(loaded.model, loaded.tokenizer, request.max_tokens)
    calibration, held_out = (
        loaded.task.batches(part, loaded.tokenizer, request.batch_size, limit, samples, request.seed)
        for part in (inputs.splits.train, inputs.splits.select)
    )
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
    ) as active:
        work = active.folder / "work"
        journal = Journal(work)
        journal.only_for(fingerprint(inputs, request))
        with storage_errors(work):
            active.result = analyze_layers(
                loaded, calibration, held_out, request.methods, request.seed, progress, journal
            )
        shutil.rmtree(work, ignore_errors=True)
    return active.finished
