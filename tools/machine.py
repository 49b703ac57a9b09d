"""The machine that numbers are measured on."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from analyzers.records import Environment

PACKAGES = ("torch", "transformers", "captum", "shap", "scikit-learn", "scipy", "numpy", "tokenizers", "layerwise")


def environment(device: str, engine: str = "local") -> Environment:
    """Where the numbers of a run were measured."""
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpu=cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        device=device,
        engine=engine,
        versions={package: version(package) for package in PACKAGES},
    )


def cpu() -> str:
    """The name of the processor, as far as the system tells it."""
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
