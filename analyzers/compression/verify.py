"""Proof that a saved model is the model it was saved from: opened in a fresh process by its own runtime alone.

Run as `python verify.py PATH ARCHITECTURE INPUTS OUTPUTS [FORMAT_FILE]`: this file imports nothing of this project, and
loads the file of the format (by default a Hugging Face folder is opened) by its path.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PROMPT = 16  # tokens that a text begins with
WRITTEN = 24  # tokens that are written after them
# Both what is one token everywhere and what tokenizers differ in: case, digits, spaces, accents, other scripts, code.
TEXTS = (
    "Hello world, it's 2026-11-24!",
    "  Two spaces\n\nand\ttabs; 12345 numbers",
    "Ünïcode 你好 🙂 CamelCase don't",
    "def f(x):\n    return x ** 2",
)


def outputs(model: Any, inputs: dict[str, Any], caches: tuple[bool, ...]) -> dict[str, Any]:
    """Logits of each input, and greedy continuations with and without the key-value cache of a language model.

    Args:
        model: in evaluation mode.
        inputs: input_ids and attention_mask, (batch, tokens). Padded rows are not continued.
        caches: for language models, with which settings of `use_cache` to write; () writes nothing.

    Returns:
        "logits" (batch, …), zero where a token is padding; "text" and "text_without_cache" (batch, 16 + 24) as asked for.
    """
    import torch

    mask = inputs["attention_mask"].bool()
    with torch.no_grad():
        logits = model(**inputs).logits.float()
        if logits.dim() == 3:  # what stands at padding differs from runtime to runtime, and means nothing
            logits = logits.masked_fill(~mask.unsqueeze(-1), 0)
        found = {"logits": logits.contiguous()}
        prompt = {name: value[:, :PROMPT] for name, value in inputs.items()}
        for cached in caches if mask.all() else ():
            # Plain greedy text, whatever a model's own settings ask for: not every runtime reads those.
            plain = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
            text = model.generate(**prompt, **plain, max_new_tokens=WRITTEN, min_new_tokens=WRITTEN, use_cache=cached)
            found["text" if cached else "text_without_cache"] = text.contiguous()
    return found


def several(model: Any, inputs: dict[str, Any], caches: tuple[bool, ...]) -> dict[str, Any]:
    """`outputs` of several batches, whose names begin with their number: `0/input_ids` gives `0/logits`."""
    batches: dict[str, dict[str, Any]] = {}
    for name, value in inputs.items():
        batch, slash, plain = name.rpartition("/")
        batches.setdefault(batch + slash, {})[plain] = value
    return {
        batch + name: value for batch, one in batches.items() for name, value in outputs(model, one, caches).items()
    }


def token_ids(tokenizer: Any, texts: Iterable[str] = TEXTS) -> Any:
    """What a tokenizer makes of some texts, one after the other, (tokens,)."""
    import torch

    return torch.tensor([token for text in texts for token in tokenizer(text)["input_ids"]], dtype=torch.long)


def in_fresh_process(path: Path, architecture: str, inputs: Path, found: Path, form: Path | None = None) -> str | None:
    """Run this file in a new interpreter; None when it succeeded, else what it said last."""
    words = [path, architecture, inputs, found, *([form] if form else [])]
    command = [sys.executable, "-I", str(Path(__file__)), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def main() -> None:
    path, architecture, inputs, found, *form = sys.argv[1:]
    from safetensors.torch import load_file, save_file

    spec = importlib.util.spec_from_file_location(
        "opener", form[0] if form else Path(__file__).parent / "formats/hf.py"
    )
    if spec is None or spec.loader is None:
        sys.exit(f"{form} is not the file of a format")
    opener = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(opener)
    model, caches = opener.opened(path, architecture)
    result = several(model, load_file(inputs), caches)
    if form:
        result["token_ids"] = token_ids(opener.opened_tokenizer(path))
    save_file(result, found)


if __name__ == "__main__":
    main()
