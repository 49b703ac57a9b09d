"""Closed-form repair at the cuts, folded into a part of the block that stands before each.

Behind a cut the next block should receive what the dense model gave there. Where a block adds the output of its last
projection W to what came in (y = r + W a, normalisation before the parts), W is fitted anew: the least-squares change D
of D a ≈ target − y with a ridge. ReplaceMe (https://arxiv.org/abs/2505.02819) fits T with T W a and folds it into W; every such
T is one of the D here. Nothing can be folded into the residual r itself: a map of the whole y would need a new module.
Where a block ends in a LayerNorm (normalisation behind the parts), a scale and a shift of each channel are fitted and folded
into its weight and bias, as in LinearPatch (https://arxiv.org/abs/2505.24680), without its rotation, which does not fold.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from analyzers.compression.healing import Case
from analyzers.errors import ModelError
from analyzers.layers import LayeredModel, frozen
from analyzers.tasks import Batch, Task

RIDGE = 1e-2  # of the mean diagonal of the normal equations
TOKENS = 8192  # to fit on

_TOLERANCE = 1e-4  # of the largest output, for what a part does to the output of its block


class _Reached(Exception):
    """The pass has come as far as it is needed."""


def cuts(dense: LayeredModel, kept: Sequence[int]) -> tuple[list[tuple[int, int]], list[int]]:
    """Where blocks are gone: (position in the smaller model of the block before, last block gone in the dense one).

    Second: the last block of each cut that has no block before it in its stack, where nothing can be folded.
    """
    gone = [block.index for block in dense.blocks if block.index not in set(kept)]
    blocks = dense.blocks
    ends = [a for a, b in pairwise([*gone, -2]) if b != a + 1 or blocks[a].container is not blocks[b].container]
    with_one, without = [], []
    for end in ends:
        same = [
            own for own, layer in enumerate(kept) if layer < end and blocks[layer].container is blocks[end].container
        ]
        if same:
            with_one.append((same[-1], end))
        else:
            without.append(end)
    return with_one, without


def fold_cuts(case: Case) -> float:
    """Repair `case.pruned` at each cut in turn, the first first: later ones see what earlier ones have mended.

    Returns:
        the part of the squared distance at the cuts that is left, on the texts that it was fitted on.

    Raises:
        ModelError: at no cut is there a part that a map can be folded into.
    """
    student = LayeredModel(case.pruned, least=1)
    places, without = cuts(case.dense, case.kept)
    batches = calibration(case)
    left, first = [], batches[0].rows(0, 1).to(student.device)
    for own, target in case.progress.track(places, len(places), "least squares at the cuts"):
        part = _part(student, own, case.task, first)
        if part is None:
            without.append(target)
        else:
            left.append(_fitted(case, student, own, target, part, batches))
    if not left:
        raise ModelError(
            f"nothing can be folded into {type(case.pruned).__name__} at its cuts, before block "
            f"{', '.join(str(end + 1) for end in sorted(without))}: the block in front has no last projection that is added to "
            "the residual stream, and does not end in a LayerNorm; use --heal distill"
        )
    if without:
        case.progress.say(f"no map can be folded before block {', '.join(str(end + 1) for end in sorted(without))}")
    return sum(left) / len(left)


def calibration(case: Case) -> list[Batch]:
    """Batches of the train split with about `TOKENS` tokens in all."""
    settings = case.settings
    batches = case.task.batches(
        case.splits.train, case.tokenizer, settings.batch_size, settings.max_tokens, None, settings.seed
    )
    order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(settings.seed)).tolist()
    chosen: list[Batch] = []
    tokens = 0
    for row in order:
        if tokens < TOKENS:
            chosen.append(batches[row])
            tokens += int(batches[row].inputs["attention_mask"].sum())
    return chosen


def _part(student: LayeredModel, own: int, task: Task, batch: Batch) -> nn.Module | None:
    """The part of a block that a map is folded into; found by what it does, not by what it is called."""
    from transformers.pytorch_utils import Conv1D

    parts = [
        part for part in student.blocks[own].module.modules() if isinstance(part, nn.Linear | Conv1D | nn.LayerNorm)
    ]
    plain = _passed(student, own, task, batch, lambda output: output, None)
    moved = torch.randn(plain.shape, generator=torch.Generator().manual_seed(0)).to(plain)
    for part in reversed(parts):
        if isinstance(part, nn.LayerNorm):
            changes: Callable[[Tensor], Tensor] = lambda output: output * moved  # noqa: E731
            wanted = plain * moved
            if part.weight is None or part.bias is None:
                continue
        else:
            changes = lambda output: output + moved if output.shape == moved.shape else output  # noqa: E731
            wanted = plain + moved
        found = _passed(student, own, task, batch, changes, part)
        if (found - wanted).abs().max() <= _TOLERANCE * wanted.abs().max():
            return part
    return None


def _passed(
    student: LayeredModel,
    own: int,
    task: Task,
    batch: Batch,
    change: Callable[[Tensor], Tensor],
    part: nn.Module | None,
) -> Tensor:
    """The output of a block when a part of it gives something else."""
    seen: dict[str, Tensor] = {}
    handle = part.register_forward_hook(lambda *call: change(call[2])) if part else None
    try:
        _run_to(student, own, task, batch, lambda output: seen.update(output=output))
    finally:
        if handle:
            handle.remove()
    return seen["output"]


@torch.no_grad()
def _run_to(layered: LayeredModel, layer: int, task: Task, batch: Batch, keep: Callable[[Tensor], None]) -> None:
    """Give the output of a block to `keep`, and go no further."""

    def stop(index: int, given: Tensor, output: Tensor) -> None:  # noqa: ARG001
        if index == layer:
            keep(output)
            raise _Reached

    with frozen(layered.model), layered.capturing(stop):
        try:
            task.run(layered.model, batch)
        except _Reached:
            return


def _fitted(
    case: Case, student: LayeredModel, own: int, target: int, part: nn.Module, batches: Sequence[Batch]
) -> float:
    """Fit and fold; the part of the squared distance that is left."""
    sums: _Projection | _Patch = _Patch(part) if isinstance(part, nn.LayerNorm) else _Projection(part)
    seen: dict[str, Tensor] = {}
    handle = part.register_forward_hook(lambda *call: seen.update(given=call[1][0]))
    try:
        for batch in batches:
            case.progress.check()
            there = batch.to(student.device)
            _run_to(case.dense, target, case.task, there, lambda output: seen.update(target=output))
            _run_to(student, own, case.task, there, lambda output: seen.update(own=output))
            mask = there.inputs["attention_mask"].bool()
            # By the length of the target: the next block normalises, and the first token may be hundreds of times longer.
            weight = 1 / seen["target"][mask].double().norm(dim=-1, keepdim=True).clamp_min(1e-6)
            sums.add(seen["given"][mask].double(), seen["own"][mask].double(), seen["target"][mask].double(), weight)
    finally:
        handle.remove()
    return sums.fold()


class _Projection:
    """Normal equations of the change of a projection; (inputs + bias)² numbers, whatever the number of tokens."""

    def __init__(self, part: Any) -> None:
        self.part, self.biased = part, part.bias is not None
        self.square: Any = 0.0  # (inputs, inputs)
        self.right: Any = 0.0  # (inputs, width)
        self.whole = 0.0

    def add(self, given: Tensor, own: Tensor, target: Tensor, weight: Tensor) -> None:
        rows = torch.cat([given, torch.ones_like(given[:, :1])], 1) if self.biased else given
        rows, missing = rows * weight, (target - own) * weight
        self.square = self.square + rows.T @ rows
        self.right = self.right + rows.T @ missing
        self.whole += float(missing.square().sum())

    @torch.no_grad()
    def fold(self) -> float:
        ridge = RIDGE * self.square.diagonal().mean() * torch.eye(len(self.square)).to(self.square)
        change = torch.linalg.solve(self.square + ridge, self.right)  # (inputs, width)
        left = self.whole - 2 * (change * self.right).sum() + (change * (self.square @ change)).sum()
        weight = change[:-1] if self.biased else change
        self.part.weight += (weight.T if isinstance(self.part, nn.Linear) else weight).to(self.part.weight)
        if self.biased:
            self.part.bias += change[-1].to(self.part.bias)
        return float(left) / max(self.whole, 1e-30)


class _Patch:
    """Weighted sums of each channel, for the line that takes the output of a block to its target."""

    def __init__(self, part: nn.LayerNorm) -> None:
        self.part = part
        self.sums: Any = 0.0  # (6, width)
        self.whole = 0.0

    def add(self, given: Tensor, own: Tensor, target: Tensor, weight: Tensor) -> None:  # noqa: ARG002
        w = weight.square().expand_as(own)
        each = (w, w * own, w * own * own, w * target, w * own * target, w * target * target)
        self.sums = self.sums + torch.stack([part.sum(0) for part in each])
        self.whole += float((w * (target - own).square()).sum())

    @torch.no_grad()
    def fold(self) -> float:
        w, x, xx, t, xt, tt = self.sums
        scale = (w * xt - x * t) / (w * xx - x * x).clamp_min(1e-12)
        shift = (t - scale * x) / w
        left = tt - 2 * scale * xt - 2 * shift * t + scale**2 * xx + 2 * scale * shift * x + shift**2 * w
        self.part.weight.mul_(scale.to(self.part.weight))
        self.part.bias.copy_(self.part.bias * scale.to(self.part.bias) + shift.to(self.part.bias))
        return float(left.sum()) / max(self.whole, 1e-30)
