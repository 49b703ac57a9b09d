"""Whether a job fits into the memory of this machine: known before it starts, as far as anything is known."""

from collections.abc import Sequence
from pathlib import Path

import psutil

from analyzers.errors import LayerwiseError
from analyzers.records import AnalyzeRequest, Request
from analyzers.references import parse_model
from tools.jobs import processes
from tools.jobs.records import Job
from tools.workspace import Workspace

LIBRARIES = 400.0  # MB that torch, transformers and what they load take in a process, before any model
COPIES = {"train": 4, "compress": 2}  # weights, gradients and the two moments of Adam; the dense and the smaller model
DEMO = {"minilm": 22_713_216, "smollm2": 134_515_008}  # parameters
BYTES = 4  # of a weight: everything is computed in float32
WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")

# What a control group allows and what it holds: version 2, version 1.
GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
KILLS = Path("/proc/vmstat")


def total_mb() -> float:
    """What the machine, or the container, has in all."""
    return min([psutil.virtual_memory().total, *(limit for limit, _ in _groups())]) / 1e6


def free_mb() -> float:
    """What a new process may take."""
    return min([psutil.virtual_memory().available, *(max(0, limit - held) for limit, held in _groups())]) / 1e6


def kills() -> int | None:
    """How many processes this system has killed since it started because memory ran out; None: it does not say."""
    try:
        lines = KILLS.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def expected_mb(request: Request, workspace: Workspace, earlier: Sequence[Job]) -> float | None:
    """Memory that a job will take: what the same took before, else the least that its weights need; None: unknown.

    Args:
        request: of the job.
        workspace: where the runs are that its model may come from.
        earlier: jobs, the newest first.
    """
    for job in earlier:
        same = job.request.model_copy(update={"seed": request.seed}) == request
        if same and job.status == "done" and job.peak_memory_mb:
            return job.peak_memory_mb
    if isinstance(request, AnalyzeRequest) and (measured := _measured(request, workspace)):
        return measured
    try:
        weights = _weights(_model(request, workspace), workspace)
    except (LayerwiseError, OSError):  # the job itself will say what is wrong with its model
        return None
    return None if weights is None else LIBRARIES + COPIES.get(request.verb, 1) * weights / 1e6


def refusal(job: Job, running: Sequence[Job]) -> str | None:
    """Why a job does not fit beside those that run, or None."""
    if job.needs_mb is None:
        return None
    # What runs has not yet taken all that it will.
    promised = sum(max(0.0, (each.needs_mb or 0.0) - _taken(each)) for each in running)
    free = free_mb() - promised
    return None if job.needs_mb <= free else too_large(job.command, job.needs_mb, free, "free")


def too_large(command: str, needs: float, there: float, what: str) -> str:
    return (
        f"it needs at least {needs:,.0f} MB of memory and {max(0.0, there):,.0f} MB are {what}; end what else runs here, or take a "
        f"smaller model: {command}"
    )


def _taken(job: Job) -> float:
    if not job.worker or not processes.alive(job.worker):
        return 0.0
    try:
        return float(psutil.Process(job.worker.pid).memory_info().rss / 1e6)
    except psutil.NoSuchProcess:
        return 0.0


def _groups() -> list[tuple[int, int]]:
    found = []
    for limit, held in GROUPS:
        try:
            found.append((int(limit.read_text()), int(held.read_text())))
        except (OSError, ValueError):  # there is no such group, or its limit is "max"
            continue
    return found


def _measured(request: AnalyzeRequest, workspace: Workspace) -> float | None:
    """What the newest analyses of the same model and data, by the same methods, were seen to take."""
    fields = {"methods": list(request.methods), "batch_size": request.batch_size, "max_tokens": request.max_tokens}
    for run in workspace.runs.list(kind="analysis", status="done", model=request.model, data=request.data, limit=5):
        peak = run.measured("peak_memory_mb", "measured")
        if peak and fields.items() <= run.settings.items():
            return peak.value
    return None


def _model(request: Request, workspace: Workspace) -> str:
    """The model that the request leads to: named, or that of the run which it names."""
    source = getattr(request, "analysis", None) or getattr(request, "plan", None)
    return workspace.runs.get(source).model if source else str(getattr(request, "model", ""))


def _weights(model: str, workspace: Workspace) -> int | None:
    """Bytes of the weights, where they lie on this machine."""
    reference = parse_model(model)
    if reference.kind == "demo":
        return DEMO[reference.value] * BYTES
    if reference.kind == "gguf":
        return Path(reference.value).stat().st_size
    if reference.kind == "run":
        run = workspace.runs.get(reference.value)
        folder = workspace.runs.folder(run.id) / "model"
        if not folder.is_dir():  # an analysis or a plan stands for its model
            return None if run.model == model else _weights(run.model, workspace)
    elif reference.kind == "folder":
        folder = Path(reference.value)
    else:
        return None
    return sum(file.stat().st_size for pattern in WEIGHTS for file in folder.glob(pattern)) or None
