"""Losses of next tokens from the last hidden states, a chunk of positions at a time.

With a large vocabulary the logits are most of the memory and much of the time of a small language model: 16 windows of 128
tokens and 49,152 words are 400 MB, and a softmax beside them as much again. Here a chunk of logits exists at a time. The
gradient with respect to the hidden states, (softmax − one-hot) W, is taken while the chunk is there, so that the logits
are computed once for both (as in https://arxiv.org/abs/2411.09009).
"""

from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 2**24  # logits that exist at a time: 64 MiB in float32


def next_token_losses(hidden: Tensor, head: nn.Linear, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats and whether the likeliest token is the right one, for each position; both (batch, tokens).

    The losses have a gradient with respect to the hidden states; the head is taken as a constant.

    Args:
        hidden: (batch, tokens, width).
        head: turns hidden states into logits.
        targets: the right token of each position, (batch, tokens).
    """
    flat = hidden.reshape(-1, hidden.shape[-1])
    loss, hit = _Losses.apply(
        flat, head.weight.detach(), None if head.bias is None else head.bias.detach(), targets.flatten()
    )
    return loss.view(targets.shape), hit.view(targets.shape)


class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        wanted = ctx.needs_input_grad[0]
        loss = hidden.new_empty(len(targets), dtype=torch.float32)
        hit = torch.empty_like(loss)
        gradient = torch.empty_like(hidden) if wanted else None
        rows = max(1, CHUNK // len(weight))
        for start in range(0, len(targets), rows):
            part = slice(start, start + rows)
            target = targets[part].unsqueeze(1)
            logits = nn.functional.linear(hidden[part], weight, bias).float()  # (rows, vocabulary)
            right, top = logits.gather(1, target), logits.amax(1, keepdim=True)
            hit[part] = (right == top).squeeze(1).float()
            chance = logits.sub_(top).exp_()  # in place: to write that much anew takes longer than to compute it
            total = chance.sum(1, keepdim=True)
            loss[part] = (total.log() + top - right).squeeze(1)
            if gradient is not None:
                chance.div_(total)
                chance.scatter_add_(1, target, torch.full_like(total, -1.0))
                gradient[part] = chance.to(weight.dtype) @ weight
        if gradient is not None:
            ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(hit)
        return loss, hit

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * gradients[0].unsqueeze(1).to(gradient.dtype), None, None, None
