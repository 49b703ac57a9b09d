"""Dropout on some rows of a batch, by the masks that these rows get when the whole batch is computed at once.

A process that trains on its rows of a batch draws the masks of all rows and keeps its own. It draws what a process alone
draws, in the same order, so all have the same random numbers before and after, and the sum of their gradients is the
gradient of the whole batch up to rounding. What draws in another way than by dropout is still right, but not the same.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class WholeDraws(TorchFunctionMode):
    """A context in which dropout draws for the whole batch.

    Args:
        rows: that are computed.
        batch: how many rows there are in all.
    """

    def __init__(self, rows: slice, batch: int) -> None:
        super().__init__()
        self._start, self._rows, self._batch = int(rows.start), int(rows.stop - rows.start), batch

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        # The functions that are called here are not intercepted again.
        if func is F.dropout:
            return self._dropout(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention:
            return self._attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _dropout(self, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0.0 or input.shape[0] % self._rows:
            return F.dropout(input, p, training, inplace)
        mask = self._mask(input, p)
        return input.mul_(mask) if inplace else input * mask

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """With dropout, what torch computes on a CPU; without, torch's own."""
        if dropout_p == 0.0:
            return F.scaled_dot_product_attention(
                query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
            )
        if enable_gqa:
            groups = query.shape[-3] // key.shape[-3]
            key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
        scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)  # (rows, heads, queries, keys)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        elif attn_mask is not None:
            scores = scores + attn_mask
        weights = scores.softmax(-1)
        return self._dropout(weights, dropout_p) @ value

    def _mask(self, input: Tensor, p: float) -> Tensor:
        """Zeros and 1 / (1 - p), drawn as for the whole batch: in the order in which its values lie in memory."""
        each = input.shape[0] // self._rows  # more than 1 where a model folds another axis into the first
        sizes = [each * self._batch, *input.shape[1:]]
        strides = input.stride()
        order = sorted(range(input.ndim), key=lambda axis: -strides[axis])
        ones = input.new_ones([sizes[axis] for axis in order])
        ones = ones.permute([order.index(axis) for axis in range(input.ndim)])
        return F.dropout(ones, p)[each * self._start : each * (self._start + self._rows)]
