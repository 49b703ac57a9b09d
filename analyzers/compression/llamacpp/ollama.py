"""What Ollama needs beside a GGUF file."""

import re
import shlex
from pathlib import Path

FILE = "model.gguf"


def modelfile(name: str) -> str:
    """The text of a Modelfile. Ollama takes the chat template from the GGUF file.

    Source: https://github.com/ollama/ollama/blob/main/docs/modelfile.md
    """
    return f"# {name}, made by Layerwise; README.md beside it says from what\nFROM ./{FILE}\n"


def commands(name: str, folder: Path) -> list[str]:
    """The two commands that make Ollama run the model.

    Args:
        name: any text; Ollama's names have letters, digits, dots and dashes.
        folder: where the Modelfile lies.
    """
    tag = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "model"
    return [f"ollama create {tag} -f {shlex.quote(str(folder / 'Modelfile'))}", f"ollama run {tag}"]
