"""Proof that a saved model is the model it was saved from: opened in a fresh process by plain transformers alone.

Run as `python verify.py FOLDER ARCHITECTURE INPUTS OUTPUTS`: this file imports nothing of this project.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any


def outputs(model: Any, inputs: dict[str, Any], caches: tuple[bool, ...]) -> dict[str, Any]:
    """Logits of each input, and greedy continuations with and without the key-value cache of a language model.

    Args:
        model: in evaluation mode.
        inputs: input_ids and attention_mask, (batch, tokens).
        caches: for language models, with which settings of `use_cache` to write; () writes nothing.

    Returns:
        "logits" (batch, …); "text" and "text_without_cache" (batch, 16 + 24) as asked for.
    """
    import torch

    with torch.no_grad():
        found = {"logits": model(**inputs).logits.float().contiguous()}
        prompt = {name: value[:, :16] for name, value in inputs.items()}
        for cached in caches:
            text = model.generate(**prompt, max_new_tokens=24, min_new_tokens=24, do_sample=False, use_cache=cached)
            found["text" if cached else "text_without_cache"] = text.contiguous()
    return found


def in_fresh_process(folder: Path, architecture: str, inputs: Path, found: Path) -> str | None:
    """Run this file in a new interpreter; None when it succeeded, else what it said last."""
    command = [sys.executable, "-I", str(Path(__file__)), str(folder), architecture, str(inputs), str(found)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]


def main() -> None:
    folder, architecture, inputs, found = sys.argv[1:5]
    import transformers
    from safetensors.torch import load_file, save_file

    auto = "AutoModelForCausalLM" if architecture == "causal" else "AutoModelForSequenceClassification"
    model, report = getattr(transformers, auto).from_pretrained(folder, output_loading_info=True)
    broken = [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    if broken:
        sys.exit(f"weights that do not fit: {broken[:3]}")
    caches = (False, True) if architecture == "causal" else ()
    save_file(outputs(model.eval(), load_file(inputs), caches), found)


if __name__ == "__main__":
    main()
