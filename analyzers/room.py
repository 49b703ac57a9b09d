"""How much of a batch is passed at once: parts of it, and smaller ones after the memory of the device was too small."""

from collections.abc import Callable
from typing import Literal, TypeVar

import torch

from analyzers.errors import ModelError
from analyzers.progress import Progress

Result = TypeVar("Result")
Kind = Literal["forward", "gradient"]

# A gradient pass holds the activations of all its tokens until their gradients come. So many keep a processor busy; 16
# windows of 128 tokens at once took 3 GB with a model of 135 million parameters.
GRADIENT_TOKENS = 512


class Room:
    """Remembers how many tokens fit, so that what did not fit once is not tried with every batch."""

    def __init__(self) -> None:
        self._fits: dict[Kind, int | None] = {"forward": None, "gradient": GRADIENT_TOKENS}
        self._proven: dict[Kind, int] = {"forward": 0, "gradient": 0}  # tokens that did fit at once
        self._said = False

    def passed(
        self, rows: int, tokens: int, step: Callable[[slice], Result], progress: Progress, kind: Kind = "forward"
    ) -> list[Result]:
        """What `step` gives for each part of the rows, in their order.

        Args:
            rows: of the batch.
            tokens: of a row.
            step: computes on some rows of the batch; it may be called again for rows on which it raised.
            progress: told once that batches are passed in parts because of the memory.
            kind: forward passes need less for a token than those that wait for gradients.

        Raises:
            ModelError: a single row does not fit.
        """
        found: list[Result] = []
        start = 0
        while start < rows:
            stop = min(start + self._rows(rows, tokens, kind), rows)
            passed = (stop - start) * tokens
            try:
                found.append(step(slice(start, stop)))
            except RuntimeError as error:
                if not _out_of_memory(error):
                    raise
            else:
                self._proven[kind] = max(self._proven[kind], passed)
                start = stop
                continue
            # Outside of `except`: the traceback would keep alive what filled the memory.
            self._halve(stop - start, tokens, kind, progress)
        return found

    def parts(self, rows: int, tokens: int, kind: Kind = "forward") -> list[slice]:
        """Of a batch, for steps that cannot be repeated: those that `passed` would pass."""
        at_once = self._rows(rows, tokens, kind)
        return [slice(start, min(start + at_once, rows)) for start in range(0, rows, at_once)]

    def proven(self, rows: int, tokens: int, kind: Kind = "forward") -> bool:
        """Whether a part of such a batch is known to fit."""
        return min(rows, self._rows(rows, tokens, kind)) * tokens <= self._proven[kind]

    def _rows(self, rows: int, tokens: int, kind: Kind) -> int:
        fits = self._fits[kind]
        return rows if fits is None else max(1, fits // tokens)

    def _halve(self, rows: int, tokens: int, kind: Kind, progress: Progress) -> None:
        if rows == 1:
            raise ModelError(
                f"one example of {tokens} tokens does not fit into the memory of the device in a {kind} pass; end what "
                "else runs there, or give a smaller --max-tokens"
            )
        self._fits[kind] = rows // 2 * tokens
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._said:
            self._said = True
            progress.say(
                f"{rows} examples of {tokens} tokens do not fit into memory at once: going on with {rows // 2}, which "
                "takes longer and gives the same numbers"
            )


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(
        sign in str(error).lower() for sign in ("can't allocate memory", "out of memory")
    )
