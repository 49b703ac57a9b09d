"""How long an analysis will take and how much memory it will need, from a timed batch."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from analyzers.coalitions import Coalitions
from analyzers.fidelity import typical_sets
from analyzers.footprint import forget_peak, memory_peak
from analyzers.importance import Method
from analyzers.importance.engine import Engine
from analyzers.importance.gradients import quickest_way
from analyzers.layers import frozen
from analyzers.tasks import Batch
from analyzers.work import Work, of_sets, tokens

LIBRARIES = 200e6  # bytes that scikit-learn, shap and what they load take once they are used


@dataclass(frozen=True)
class Expected:
    seconds: float
    bytes: float  # most that the process will hold


def expect(engine: Engine, methods: Sequence[Method], held_out: Coalitions) -> Expected:
    """Time the passes on one batch, and count how often an analysis makes them.

    Args:
        engine: with the calibration examples.
        methods: of the analysis.
        held_out: what the deletion curves will be measured on.
    """
    forget_peak()
    batch = max(engine.batches, key=lambda each: len(each) * each.tokens)
    work = sum((method.work(engine) for method in methods), Work())
    everything = tokens(engine.batches)
    if any(method.reducers for method in methods):
        work += Work(forwards=everything)
    for sets in typical_sets(len(methods), len(engine.layered), engine.seed):
        work += of_sets(sets, len(engine.layered), tokens(held_out.batches))
    each_example = any(method.gradients for method in methods)
    units = _units(engine, batch, each_example, work.gradients > 0)
    seconds = (
        work.forwards * units.block
        + work.heads * units.head
        + work.gradients * units.gradient
        + everything * units.examples
        + work.seconds
    )
    return Expected(seconds, memory_peak() + work.bytes + LIBRARIES)


@dataclass(frozen=True)
class _Units:
    """Seconds for a token."""

    block: float  # forwards through all blocks
    head: float  # through the embeddings and the head
    gradient: float  # through the model and back to the activations
    examples: float  # the same, and the gradients of each example


def _units(engine: Engine, batch: Batch, each_example: bool, gradients: bool) -> _Units:
    layered, task = engine.layered, engine.task
    with frozen(layered.model), torch.no_grad():
        # Passed in parts where the memory asks for it, as the analysis will.
        layered.room.passed(
            len(batch), batch.tokens, lambda rows: task.run(layered.model, _part(engine, batch, rows)), engine.progress
        )
        rows = layered.room.parts(len(batch), batch.tokens)[0]
        part = _part(engine, batch, rows)
        run = _seconds(lambda: task.run(layered.model, part))
        scored = _seconds(lambda: task.scores(layered.model, part))
    few = _part(engine, batch, layered.room.parts(len(batch), batch.tokens, "gradient")[0])

    def back() -> None:
        with layered.differentiating_activations():
            task.losses(layered.model, few).sum().backward()

    gradient = _seconds(back) if gradients else 0.0
    examples = 0.0
    if each_example:
        way = quickest_way(layered, task, batch, engine.progress)
        examples = _seconds(lambda: way(layered, task, few))
    each, fewer = len(part) * part.tokens, len(few) * few.tokens
    return _Units(run / each, max(0.0, scored - run) / each, gradient / fewer, examples / fewer)


def _part(engine: Engine, batch: Batch, rows: slice) -> Batch:
    return batch.rows(rows.start, rows.stop).to(engine.layered.device)


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began
