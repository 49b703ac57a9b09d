"""What must be set before libraries are imported: no telemetry, no noise, and a standard output that is ours alone."""

import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from tools.importing import uncollected

SILENT = {
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "DO_NOT_TRACK": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",  # warns after a fork
}


def hush(threads: int | None = None) -> None:
    """Set the environment of the libraries. Values that the user has set stay, telemetry excepted."""
    for name, value in SILENT.items():
        if "TELEMETRY" in name or "ANALYTICS" in name:
            os.environ[name] = value
        else:
            os.environ.setdefault(name, value)
    if threads:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ[name] = str(threads)
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    # torch says there what torchao, which transformers imports with every model, should do otherwise.
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)


@contextmanager
def without_stubs() -> Iterator[None]:
    """Around the first import of Gradio, which parses the source of each of its components to write stubs for type checkers.

    That is a third of the import. A component without a source is left out, and none tells of one meanwhile.
    """
    getfile = inspect.getfile

    def none_of_components(of: Any) -> str:
        if type(of).__name__ == "ComponentMeta":
            raise OSError(f"no stub of {of} is wanted")
        return getfile(of)

    inspect.getfile = none_of_components  # type: ignore[assignment]  # it is called with classes
    try:
        with uncollected():
            yield
    finally:
        inspect.getfile = getfile


@contextmanager
def output_kept_for_results() -> Iterator[None]:
    """Send to standard error what libraries and their processes print, so that `--json` is one document and no more."""
    sys.stdout.flush()
    try:
        saved = os.dup(1)
    except OSError:  # started without a standard output
        saved = None
    try:
        if saved is not None:
            os.dup2(2, 1)
        with redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)
