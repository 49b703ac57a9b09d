"""What language models write, looked at: perplexity alone does not see a model that repeats itself or stops at once.

Sources: repetition of n-grams (seq-rep-n) https://arxiv.org/abs/1908.04319; edit distance, Levenshtein 1966.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from analyzers.datasets import Example
from analyzers.records import Estimate, GeneratedText, Generation, Measurement
from analyzers.statistics import statistic_estimate

PROMPTS = 8
PROMPT_TOKENS = 16
WRITTEN = 32  # tokens at most
GRAM = 4
SHOWN = 3  # texts in the record
# Plain greedy text, whatever a model's own settings ask for.
GREEDY: dict[str, Any] = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}


@dataclass(frozen=True)
class Written:
    """Greedy texts of one model, in token ids without what follows the end of the text."""

    texts: list[list[int]]


def beginnings(examples: Sequence[Example], tokenizer: Any, seed: int, count: int = PROMPTS) -> torch.Tensor:
    """Beginnings of some texts, (prompts, tokens), all of one length so that nothing is padded.

    Texts of at least 16 tokens are drawn from; where there are too few, the longest ones are taken, and all are cut to
    the shortest of them.
    """
    ids = [tokenizer(example.text)["input_ids"] for example in examples]
    long = [row for row, text in enumerate(ids) if len(text) >= PROMPT_TOKENS]
    if len(long) >= count:
        chosen = np.random.default_rng(seed).permutation(long)[:count].tolist()
    else:
        chosen = sorted(range(len(ids)), key=lambda row: -len(ids[row]))[:count]
    length = min([PROMPT_TOKENS, *(len(ids[row]) for row in chosen)])
    return torch.tensor([ids[row][:length] for row in chosen])


@torch.no_grad()
def write(model: Any, prompts: torch.Tensor) -> Written:
    """Greedy continuations of at most 32 tokens, up to the model's own end of text."""
    prompts = prompts.to(next(model.parameters()).device)
    found = model.generate(prompts, attention_mask=torch.ones_like(prompts), max_new_tokens=WRITTEN, **GREEDY)
    ends = model.generation_config.eos_token_id
    stops = set(ends) if isinstance(ends, list) else {ends}
    return Written([_until(text, stops) for text in found[:, prompts.shape[1] :].tolist()])


def repeated_share(text: Sequence[int], n: int = GRAM) -> float:
    """Part of the n-grams of a text that stood in it before: 1 − different ones / all; 0 where there is none."""
    grams = [tuple(text[start : start + n]) for start in range(len(text) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def same_beginning(first: Sequence[int], second: Sequence[int]) -> int:
    """Tokens before the first one that differs."""
    return next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )


def edit_distance(first: Sequence[int], second: Sequence[int]) -> float:
    """Tokens to insert, delete or change to come from one to the other, as a part of the longer one, 0 to 1."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1] / max(len(first), len(second), 1)


def compared(
    dense: Written, compressed: Written, prompts: torch.Tensor, tokenizer: Any, subject: str, seed: int
) -> tuple[Generation, list[Measurement]]:
    """Texts of two models after the same prompts, with intervals over the prompts.

    Args:
        dense: what the dense model wrote.
        compressed: what the smaller one wrote.
        prompts: (prompts, tokens).
        tokenizer: to show some of the texts.
        subject: what the compressed model is called.
        seed: of the resampling.
    """
    pairs = list(zip(dense.texts, compressed.texts, strict=True))
    found = [
        *(_mean("repetition", name, [repeated_share(t) for t in each.texts], "", seed)
          for name, each in (("dense", dense), (subject, compressed))),
        *(_mean("written_tokens", name, [len(t) for t in each.texts], "tokens", seed)
          for name, each in (("dense", dense), (subject, compressed))),
        _mean("same_beginning", f"{subject}/dense", [same_beginning(a, b) for a, b in pairs], "tokens", seed),
        _mean("text_distance", f"{subject}/dense", [edit_distance(a, b) for a, b in pairs], "", seed),
    ]  # fmt: skip
    texts = [
        GeneratedText(
            prompt=tokenizer.decode(prompts[row], skip_special_tokens=True),
            dense=tokenizer.decode(pairs[row][0]),
            compressed=tokenizer.decode(pairs[row][1]),
        )
        for row in range(min(SHOWN, len(pairs)))
    ]
    return Generation(tokens=WRITTEN, prompt_tokens=prompts.shape[1], texts=texts), found


def _until(text: list[int], stops: set[int | None]) -> list[int]:
    return text[: next((i for i, token in enumerate(text) if token in stops), len(text))]


def _mean(name: str, subject: str, values: Sequence[float], unit: str, seed: int) -> Measurement:
    e: Estimate = statistic_estimate((np.array(values, float),), lambda v: float(v.mean()), seed)
    conditions = f"greedy, {WRITTEN} tokens at most"
    return Measurement(
        name=name, subject=subject, split="test", value=e.value, low=e.low, high=e.high, unit=unit, n=len(values),
        conditions=conditions,
    )  # fmt: skip
