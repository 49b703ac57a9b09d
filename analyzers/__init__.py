"""Measuring transformer layers: references, data, layers, importance, training, compression, evaluation."""

from typing import TYPE_CHECKING

from analyzers.errors import UsageError

if TYPE_CHECKING:
    from analyzers.analysis import Analyzer


def create_analyzer(
    model_name: str, task_type: str = "classification", modality_type: str = "text", device: str = "auto"
) -> "Analyzer":
    """An analyzer for one model, for use from Python.

    Args:
        model_name: a model reference such as a folder or a Hugging Face id.
        task_type: "classification" or "language_modeling"; the model's head decides, this is checked on use.
        modality_type: "text".
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UsageError: another task or modality.
        ModelError: the device is not there.
    """
    if task_type not in ("classification", "language_modeling") or modality_type != "text":
        raise UsageError(
            f"no analyzer for {task_type!r} on {modality_type!r}; there are: classification and language_modeling on text"
        )
    import platformdirs

    from analyzers.analysis import Analyzer
    from analyzers.models import pick_device

    return Analyzer(model_name, task_type, platformdirs.user_cache_path("layerwise"), pick_device(device))
