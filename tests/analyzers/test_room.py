"""Batches that do not fit: parts of them give the same numbers, and it is said once."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from analyzers.errors import ModelError
from analyzers.importance import choose
from analyzers.room import GRADIENT_TOKENS, Room
from tests import tiny
from tests.analyzers.importance.test_gradients import Listener

CPU = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


def no_room(kind: str) -> RuntimeError:
    return torch.OutOfMemoryError("CUDA out of memory") if kind == "cuda" else RuntimeError(CPU)


@contextmanager
def rows_at_once(model, most: int, kind: str = "cpu") -> Iterator[list[int]]:
    """The middle block raises for more than so many rows. Yields how many it was given each time."""
    seen: list[int] = []

    def hook(module, args, kwargs) -> None:
        rows = (args[0] if args else kwargs["hidden_states"]).shape[0]
        seen.append(rows)
        if rows > most:
            raise no_room(kind)

    handle = layers_of(model)[1].register_forward_pre_hook(hook, with_kwargs=True)
    try:
        yield seen
    finally:
        handle.remove()


def layers_of(model):
    return model.bert.encoder.layer if hasattr(model, "bert") else model.model.layers


def scores(model, data, methods=("main",)):
    engine = tiny.engine(model, data)
    engine.progress = listener = Listener()
    return {method.id: engine.score(method) for method in choose(methods)}, listener.said


@pytest.mark.parametrize(("language_model", "kind"), [(False, "cpu"), (True, "cuda")], ids=["bert", "llama"])
def test_half_a_batch_gives_the_same_scores(language_model: bool, kind: str):
    model = tiny.llama() if language_model else tiny.bert()
    data = tiny.windows(count=12, batch_size=12) if language_model else tiny.random_batches(24, batch_size=8)
    expected, _ = scores(model, data)
    before = tiny.state(model)
    with rows_at_once(model, 3, kind) as seen:
        found, said = scores(model, data)
        assert max(seen) > 3 >= seen[-1]
    tiny.assert_state(model, before)
    assert len([line for line in said if "fit" in line]) == 1
    for method, layers in expected.items():
        for name in ("value", "low", "high"):
            np.testing.assert_allclose(
                [getattr(score, name) for score in found[method]],
                [getattr(score, name) for score in layers],
                rtol=1e-4,
                atol=1e-6,
                err_msg=f"{method} {name}",
            )


@pytest.mark.parametrize("method", [method.id for method in choose(("main",))])
def test_each_pass_alone(method: str):
    data = tiny.random_batches(24, batch_size=8)
    expected, _ = scores(tiny.bert(), data, (method,))
    model = tiny.bert()
    with rows_at_once(model, 3):
        found, said = scores(model, data, (method,))
    assert [score.value for score in found[method]] == pytest.approx(
        [score.value for score in expected[method]], rel=1e-4, abs=1e-6
    )
    assert len(said) == 1
    assert "do not fit into memory at once: going on with" in said[0]


def test_a_single_example_that_does_not_fit():
    model = tiny.bert()
    with (
        rows_at_once(model, 0),
        pytest.raises(ModelError, match=r"one example of \d tokens does not fit.*--max-tokens"),
    ):
        scores(model, tiny.random_batches(), ("ablation",))


def test_other_errors_are_not_about_memory():
    def broken(rows: slice) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        Room().passed(4, 10, broken, Listener())


def test_what_did_not_fit_is_not_tried_again():
    room, listener, tried = Room(), Listener(), []

    def step(rows: slice) -> list[int]:
        size = rows.stop - rows.start
        tried.append(size)
        if size * 10 > 30:
            raise no_room("cpu")
        return list(range(rows.start, rows.stop))

    assert not room.proven(8, 10)
    assert [row for part in room.passed(8, 10, step, listener) for row in part] == list(range(8))
    assert tried == [8, 4, 2, 2, 2, 2]
    assert [row for part in room.passed(5, 10, step, listener) for row in part] == list(range(5))
    assert tried[6:] == [2, 2, 1]
    assert len(listener.said) == 1
    assert room.proven(8, 10)
    assert room.parts(5, 10) == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_gradient_passes_are_of_few_tokens():
    parts = Room().parts(16, 128, "gradient")
    assert {(part.stop - part.start) * 128 for part in parts} == {GRADIENT_TOKENS}
    assert Room().parts(2, 4096, "gradient") == [slice(0, 1), slice(1, 2)]
    assert Room().parts(16, 128) == [slice(0, 16)]
