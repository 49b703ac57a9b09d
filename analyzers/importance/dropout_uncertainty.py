"""What the model does not know for want of one block's units."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from analyzers.errors import ModelError
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.layers import frozen
from analyzers.records import LayerScore
from analyzers.samples import spread
from analyzers.stacks import Block
from analyzers.tasks import Batch
from analyzers.work import Work, tokens

DRAWS = 20  # masks for each block and example
POSITIONS = 16  # of each window, evenly spread, whose next-token predictions are compared
TOKENS_AT_ONCE = 512


@importance_method(
    "dropout_uncertainty",
    title="Dropout uncertainty",
    unit="nats",
    cost=f"{DRAWS} forward passes of the later blocks for each layer, over few examples",
    source="https://arxiv.org/abs/1506.02142",
    work=lambda engine: _work(engine),
)
def dropout_uncertainty(engine: Engine) -> list[LayerScore]:
    """Epistemic uncertainty of the prediction when the dropout of the block alone is at work.

    Mutual information of the prediction and the dropout mask, H(mean p) − mean H(p) over 20 masks
    (https://arxiv.org/abs/1703.02910), mean over 32 texts, or 16 positions of each of 4 windows. So few masks make it a
    twentieth too small, for all layers alike. The aleatoric part, mean H(p), which no mask takes away, is reported as
    `dropout_uncertainty_aleatoric_LAYER`.

    Raises:
        ModelError: a block has no dropout with a probability above 0.
        NotFinite: a prediction is NaN or infinite.
    """
    for block in engine.layered.blocks:
        if not _dropping(block):
            raise ModelError(
                f"block {block.index} ({block.name}) has no dropout with a probability above 0; dropout_uncertainty needs it "
                "in every block: leave the method out with --methods"
            )
    batches = spread(engine.batches, engine.rows.path)
    found = []
    with torch.random.fork_rng():
        torch.manual_seed(engine.seed)
        for batch in engine.progress.track(batches, len(batches), "dropout masks"):
            found.append(_uncertainties(engine, batch.to(engine.layered.device)))
    epistemic, aleatoric = torch.cat(found, dim=1).cpu().numpy()
    engine.diagnostics["dropout_uncertainty_examples"] = float(len(epistemic))
    for layer, value in enumerate(aleatoric.mean(axis=0)):
        engine.diagnostics[f"dropout_uncertainty_aleatoric_{layer}"] = float(value)
    return engine.scores("dropout_uncertainty", epistemic)


def _work(engine: Engine) -> Work:
    passed = tokens(spread(engine.batches, engine.rows.path)) * DRAWS
    return Work(forwards=(len(engine.layered) + 1) / 2 * passed, heads=0.0 if not engine.task.labelled else passed)


@torch.no_grad()
def _uncertainties(engine: Engine, batch: Batch) -> Tensor:
    """Epistemic and aleatoric part of each example with the dropout of each block, (2, batch, layers)."""
    layered = engine.layered
    inputs: dict[int, Tensor] = {}
    with frozen(layered.model):
        with layered.capturing(lambda layer, given, output: inputs.update({layer: given})):  # noqa: ARG005
            engine.task.run(layered.model, batch)
        at_once = max(1, TOKENS_AT_ONCE // batch.inputs["input_ids"].numel())
        by_layer = []
        for layer, hidden in sorted(inputs.items()):
            chance = entropy = torch.zeros(1, dtype=torch.double, device=layered.device)
            for begin in range(0, DRAWS, at_once):
                draws = min(at_once, DRAWS - begin)
                repeated = batch.pick(list(range(len(batch))) * draws)
                start = layer if layered.replayable else 0
                with layered.replaying(start, hidden.repeat(draws, 1, 1)), _dropout(layered.blocks[layer]):
                    chances = _chances(engine, repeated).unflatten(0, (draws, len(batch)))
                chance = chance + chances.sum(0) / DRAWS  # (batch, positions, classes)
                entropy = entropy + _entropy(chances).sum(0) / DRAWS  # (batch, positions)
            by_layer.append(torch.stack([_entropy(chance) - entropy, entropy]).mean(-1))
    return torch.stack(by_layer, dim=-1)


def _chances(engine: Engine, batch: Batch) -> Tensor:
    """Probabilities of the labels, or of the next token at some positions, (batch, positions, classes)."""
    model: Any = engine.layered.model
    if engine.task.labelled:
        logits = model(**batch.inputs).logits.unsqueeze(1)
    else:
        with _few_positions(model, batch.labels.shape[1]):
            logits = model(**batch.inputs, use_cache=False).logits
    return logits.double().softmax(-1)


@contextmanager
def _few_positions(model: Any, tokens: int) -> Iterator[None]:
    """The head, which is most of the cost of a small language model, is computed for some positions only."""
    chosen = torch.linspace(0, tokens - 1, min(POSITIONS, tokens)).round().long()
    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(lambda _, args: (args[0][:, chosen.to(args[0].device)],))
    try:
        yield
    finally:
        handle.remove()


def _entropy(chances: Tensor) -> Tensor:
    return -torch.xlogy(chances, chances).sum(-1)


def _dropping(block: Block) -> list[nn.Module]:
    """Modules of the block that drop units while they are in training mode.

    Dropout layers; those that hold one, since attention reads the probability of its dropout layer; and those with a
    probability of their own. No others: normalisation, say, is to stay as it is.
    """

    def drops(module: nn.Module) -> bool:
        own = (value for name, value in vars(module).items() if "dropout" in name and isinstance(value, float))
        return (isinstance(module, nn.Dropout) and module.p > 0) or any(value > 0 for value in own)

    return [each for each in block.module.modules() if drops(each) or any(drops(part) for part in each.children())]


@contextmanager
def _dropout(block: Block) -> Iterator[None]:
    modules = _dropping(block)
    try:
        for module in modules:
            module.training = True
        yield
    finally:
        for module in modules:
            module.training = False
