"""What the project does, as plain functions: each does one thing, saves one run, and returns it.

The command line, batch scripts and the agent all call these.
"""

from analyzers.progress import Progress
from analyzers.records import AnalyzeRequest, CompressRequest, EvaluateRequest, PlanRequest, Run, TrainRequest
from analyzers.requests import ExportRequest
from tools.importing import uncollected
from tools.report import report
from tools.workspace import Workspace

__all__ = ["analyze", "compress", "evaluate", "export", "plan", "report", "train"]


def train(request: TrainRequest, workspace: Workspace, progress: Progress, *, resume: bool = False) -> Run:
    """Fine-tune a model, or train a small one from scratch; the run holds the best model.

    Args:
        request: what to train, on what, how.
        workspace: where the run is kept.
        progress: ticks once a batch.
        resume: take up the newest unfinished run of the same request.

    Raises:
        LayerwiseError: see `analyzers.errors`; the run is kept as failed or cancelled, and `resume` goes on with it.
    """
    with uncollected():
        from tools.steps import training

    return training.run(request, workspace, progress, resume)


def analyze(request: AnalyzeRequest, workspace: Workspace, progress: Progress) -> Run:
    """Score the layers of a model with several methods, and measure which method to believe.

    Raises:
        LayerwiseError: see `analyzers.errors`.
    """
    with uncollected():
        from tools.steps import analysis

    return analysis.run(request, workspace, progress)


def plan(request: PlanRequest, workspace: Workspace, progress: Progress) -> Run:
    """Choose the layers to remove for a target, by measuring subsets on the select split.

    Raises:
        BadTarget: the target cannot be met.
        LayerwiseError: see `analyzers.errors`.
    """
    with uncollected():
        from tools.steps import planning

    return planning.run(request, workspace, progress)


def compress(request: CompressRequest, workspace: Workspace, progress: Progress, *, resume: bool = False) -> Run:
    """Remove the layers of a plan for good, verify the saved model, heal it, and measure it beside the dense one.

    `resume` takes up the healing of the newest unfinished run of the same request.

    Raises:
        VerificationFailed: the saved model is not the one in memory.
        LayerwiseError: see `analyzers.errors`.
    """
    with uncollected():
        from tools.steps import compression

    return compression.run(request, workspace, progress, resume)


def evaluate(request: EvaluateRequest, workspace: Workspace, progress: Progress) -> Run:
    """Measure a model on the test split: quality with intervals, latency, size.

    Raises:
        LayerwiseError: see `analyzers.errors`.
    """
    with uncollected():
        from tools.steps import evaluation

    return evaluation.run(request, workspace, progress)


def export(request: ExportRequest, workspace: Workspace, progress: Progress) -> Run:
    """Write a model, or what a plan leaves of it, in a format that other programs open, and prove it by their runtime.

    Raises:
        UnknownFormat: no such format, or the model does not fit it.
        VerificationFailed: what was written is not the model in memory.
        LayerwiseError: see `analyzers.errors`; nothing is left under the final name.
    """
    with uncollected():
        from tools.steps import export as step

    return step.run(request, workspace, progress)
