"""What a block's own contribution brings back of a text that was made unreadable."""

import torch
from torch import Tensor

from analyzers.errors import DataError
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.layers import frozen
from analyzers.records import LayerScore
from analyzers.samples import spread
from analyzers.tasks import Batch
from analyzers.work import Work, tokens


@importance_method(
    "activation_patching",
    title="Activation patching",
    unit="nats",
    cost="2 forward passes and 1 of the later blocks for each layer",
    source="https://arxiv.org/abs/2202.05262",
    work=lambda engine: _work(engine),
)
def activation_patching(engine: Engine) -> list[LayerScore]:
    """Fall of the loss of a corrupted text when the block alone adds what it adds for the clean text.

    The corrupted text has in the place of each token that is not special one drawn from all calibration tokens; labels stay.
    Put back is the update, output − input, of the clean run: with the whole output put back every layer would restore
    everything, since blocks see nothing but the output of the one before. Mean over examples; negative where the clean
    update hurts. Language models use 4 of the calibration windows.

    Raises:
        DataError: no calibration text has a token that is not special.
        NotFinite: a loss is NaN or infinite.
    """
    batches = spread(engine.batches, engine.rows.game)
    generator = torch.Generator().manual_seed(engine.seed)
    vocabulary = torch.cat([batch.inputs["input_ids"][_ordinary(engine, batch)].cpu() for batch in engine.batches])
    if not len(vocabulary):
        raise DataError(
            f"{engine.examples} calibration examples hold special tokens only; activation_patching needs others to draw "
            "from: give other texts"
        )
    recovered = []
    for batch in engine.progress.track(batches, len(batches), "activation patching"):
        corrupt = corrupted(engine, batch, vocabulary, generator)
        recovered.append(_recovered(engine, batch.to(engine.layered.device), corrupt.to(engine.layered.device)))
    engine.diagnostics["activation_patching_examples"] = float(sum(len(batch) for batch in batches))
    return engine.scores("activation_patching", torch.cat(recovered).double().cpu().numpy())


def _work(engine: Engine) -> Work:
    passed, layers = tokens(spread(engine.batches, engine.rows.game)), len(engine.layered)
    return Work(forwards=(2 + (layers + 1) / 2) * passed, heads=(layers + 1) * passed)


def corrupted(engine: Engine, batch: Batch, vocabulary: Tensor, generator: torch.Generator) -> Batch:
    """The same batch with random tokens, as frequent as they are in `vocabulary`, for those that are not special."""
    ids = batch.inputs["input_ids"]
    drawn = vocabulary[torch.randint(len(vocabulary), ids.shape, generator=generator)].to(ids.device)
    replaced = torch.where(_ordinary(engine, batch), drawn, ids)
    return Batch({**batch.inputs, "input_ids": replaced}, batch.labels, batch.indices)


def _ordinary(engine: Engine, batch: Batch) -> Tensor:
    """Which tokens are neither special nor padding, (batch, tokens)."""
    ids = batch.inputs["input_ids"]
    special = torch.isin(ids, torch.tensor(engine.tokenizer.all_special_ids, device=ids.device))
    return ~special & batch.inputs["attention_mask"].bool()


@torch.no_grad()
def _recovered(engine: Engine, clean: Batch, corrupt: Batch) -> Tensor:
    """Loss of the corrupted batch less its loss with each block's clean update in place, (batch, layers)."""
    layered, task = engine.layered, engine.task
    patched: dict[int, Tensor] = {}  # by layer: output of the block that is put in place

    def keep(layer: int, given: Tensor, output: Tensor) -> None:
        patched[layer] = output - given

    def add(layer: int, given: Tensor, output: Tensor) -> None:  # noqa: ARG001
        patched[layer] = patched[layer] + given

    with frozen(layered.model):
        with layered.capturing(keep):
            task.run(layered.model, clean)
        with layered.capturing(add):
            before = task.scores(layered.model, corrupt).loss
        falls = []
        for layer, output in sorted(patched.items()):
            start = layer if layered.replayable else 0
            with layered.replaying(start, output), layered.giving(layer, output):
                falls.append(before - task.scores(layered.model, corrupt).loss)
    return torch.stack(falls, dim=1)
