"""One contract over many architectures that nobody told the project about: see `architectures.py` for the table."""

import copy
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from analyzers.coalitions import Coalitions
from analyzers.compression.surgery import remove_blocks
from analyzers.errors import ModelError, NoBlocks
from analyzers.importance.ablation import ablation
from analyzers.importance.engine import Engine
from analyzers.importance.fisher import fisher
from analyzers.importance.gradient import gradient
from analyzers.importance.gradients import one_by_one
from analyzers.layers import LayeredModel
from tests import tiny
from tests.analyzers.architecture import Architecture, Projection
from tests.analyzers.architectures import ARCHITECTURES

EVERY = pytest.mark.parametrize("name", ARCHITECTURES)


@pytest.fixture
def architecture(name: str) -> Architecture:
    return ARCHITECTURES[name]


@pytest.fixture
def layered(architecture: Architecture) -> LayeredModel:
    return LayeredModel(architecture.model())


@torch.no_grad()
def outputs(architecture: Architecture, model: nn.Module) -> torch.Tensor:
    return architecture.outputs(model, architecture.inputs())


def overwritten(architecture: Architecture, model: nn.Module, skip: set[int]) -> torch.Tensor:
    """Outputs of a copy in which hooks, independent of the project's own, put a block's input in the place of its output."""
    other = copy.deepcopy(model)
    handed = {}

    def enter(module, args, kwargs):
        handed[module] = args[0] if args else next(iter(kwargs.values()))

    def leave(module, args, output):
        return (handed[module], *output[1:]) if isinstance(output, tuple) else handed[module]

    modules = dict(other.named_modules())
    for block in LayeredModel(model).blocks:
        if block.index in skip:
            modules[block.name].register_forward_pre_hook(enter, with_kwargs=True)
            modules[block.name].register_forward_hook(leave)
    return outputs(architecture, other)


@EVERY
def test_blocks(architecture: Architecture, layered: LayeredModel):
    assert len(layered) == architecture.blocks
    modules = dict(layered.model.named_modules())
    assert all(modules[block.name] is block.module for block in layered.blocks)
    assert [block.index for block in layered.blocks] == list(range(len(layered)))


@EVERY
def test_skipping(architecture: Architecture, layered: LayeredModel):
    dense = outputs(architecture, layered.model)
    sets = [*({layer} for layer in range(len(layered))), set(range(len(layered))), {0, len(layered) - 1}]
    for skip in sets:
        expected = overwritten(architecture, layered.model, skip)
        for _ in range(2):  # the second time it knows what blocks return
            with layered.skipping(skip):
                found = outputs(architecture, layered.model)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(found, dense, rtol=1e-3)
    assert torch.equal(outputs(architecture, layered.model), dense)


@EVERY
def test_capturing(architecture: Architecture, layered: LayeredModel):
    seen = {}
    times = Counter()

    def keep(layer, given, output):
        times[layer] += 1
        seen[layer] = given, output

    with layered.capturing(keep):
        outputs(architecture, layered.model)
    assert times == dict.fromkeys(range(len(layered)), 1)
    for given, output in seen.values():
        assert given.shape == output.shape
        assert len(given) == 3
        assert not torch.equal(given, output)
    for a, b in zip(layered.blocks, layered.blocks[1:], strict=False):
        if a.container is b.container and architecture.chained:
            torch.testing.assert_close(seen[a.index][1].flatten(), seen[b.index][0].flatten())


@EVERY
def test_replay(architecture: Architecture, layered: LayeredModel):
    expected = outputs(architecture, layered.model)
    runs = Counter()
    for block in layered.blocks:
        block.module.forward = counting(block.module.forward, runs, block.index)
    layered = LayeredModel(layered.model)
    replayed = set()
    for start in range(1, len(layered)):
        with layered.watching_inputs({start}) as seen:
            outputs(architecture, layered.model)
        if start not in seen:
            continue
        replayed.add(start)
        for _ in range(2):
            runs.clear()
            with layered.replaying(start, seen[start]):
                found = outputs(architecture, layered.model)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert set(runs) - architecture.makers == set(range(start, len(layered))) - architecture.makers
        assert set(runs.values()) == {1}
        seen[start].normal_(generator=torch.Generator().manual_seed(0))
        with layered.replaying(start, seen[start]):
            assert not torch.allclose(outputs(architecture, layered.model), expected, rtol=1e-3)
    assert replayed == set(range(1, len(layered)) if architecture.replayed is None else architecture.replayed)


def counting(forward, runs: Counter, layer: int):
    def counted(*args, **kwargs):
        runs[layer] += 1
        return forward(*args, **kwargs)

    return counted


@EVERY
def test_scores(architecture: Architecture, layered: LayeredModel):
    task = Projection(architecture)
    engine = Engine(layered, task, None, [architecture.batch()])
    before = tiny.state(layered.model)
    dense = task.losses(layered.model, architecture.batch()).mean()
    for score in ablation(engine):
        with layered.skipping({score.layer}), torch.no_grad():
            naive = task.losses(layered.model, architecture.batch()).mean() - dense
        assert score.value == pytest.approx(float(naive), rel=1e-4, abs=1e-5)
    norms, inner = one_by_one(layered, task, architecture.batch()).double().numpy()
    np.testing.assert_allclose(engine.gradients.squared_norm, norms, rtol=1e-3, atol=1e-6 * norms.max())
    np.testing.assert_allclose(engine.gradients.inner, inner, rtol=1e-3, atol=1e-4 * np.abs(inner).max())
    for method in (fisher, gradient):
        assert all(0 < score.value < np.inf for score in method(engine))
    tiny.assert_state(layered.model, before)


@EVERY
def test_coalitions(architecture: Architecture, layered: LayeredModel):
    task = Projection(architecture)
    found = Coalitions(layered, task, [architecture.batch()])
    everything = frozenset(range(len(layered)))
    sets = [everything, everything - {1, 2}, everything - {len(layered) - 2, len(layered) - 1}, everything - {0}]
    for kept, losses in zip(sets, found.measure(sets), strict=True):
        with layered.skipping(everything - kept), torch.no_grad():
            naive = task.losses(layered.model, architecture.batch())
        np.testing.assert_allclose(losses.loss, naive.numpy(), rtol=1e-4, atol=1e-5, err_msg=str(everything - kept))


@EVERY
def test_a_model_that_raises_is_left_as_it_was(architecture: Architecture, layered: LayeredModel):
    with layered.watching_inputs({1}) as seen:
        outputs(architecture, layered.model)
    before = tiny.state(layered.model)
    last = layered.blocks[-1].module
    contexts = [
        lambda: layered.skipping({0}),
        lambda: layered.capturing(lambda *_: None),
        lambda: layered.watching_inputs({0, 1}),
        lambda: layered.differentiating_activations(),
        *((lambda: layered.replaying(1, seen[1]),) if seen else ()),
    ]
    for context in contexts:
        handle = last.register_forward_pre_hook(broken)
        with pytest.raises(RuntimeError, match="broken"), context():
            outputs(architecture, layered.model)
        handle.remove()
        tiny.assert_state(layered.model, before)


def test_a_model_that_shares_one_block():
    from transformers import AlbertConfig, AlbertModel

    sizes = {"vocab_size": 32, "embedding_size": 8, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 12}
    model = AlbertModel(AlbertConfig(**sizes, num_hidden_layers=3))
    with pytest.raises(
        NoBlocks, match=r"AlbertModel runs one block 3 times: its 3 layers share their parameters.*give a"
    ):
        LayeredModel(model)
    assert len(LayeredModel(model, least=1)) == 1


def broken(*_):
    raise RuntimeError("broken")


@EVERY
def test_removing(architecture: Architecture, layered: LayeredModel, tmp_path: Path):
    model = layered.model
    before, config = tiny.state(model), described(model)
    refused = {layer: reason for layers, reason in architecture.refused.items() for layer in layers}
    for layer, reason in refused.items():
        with pytest.raises(ModelError, match=reason):
            remove_blocks(model, [layer], architecture.inputs())
    alone = [{layer} for layer in range(len(layered)) if layer not in refused]
    for number, remove in enumerate([*alone, *map(set, architecture.removals)]):
        removed(architecture, model, remove, tmp_path / str(number))
    tiny.assert_state(model, before)
    assert described(model) == config


def described(model: nn.Module) -> dict:
    return model.config.to_dict() if hasattr(model, "config") else {}


def removed(architecture: Architecture, model: nn.Module, remove: set[int], folder: Path) -> None:
    """Take blocks out, save, open again: all the same as skipping."""
    with LayeredModel(model).skipping(remove):
        expected = outputs(architecture, model)
    pruned = remove_blocks(model, sorted(remove), architecture.inputs())
    close(outputs(architecture, pruned), expected)
    pruned.save_pretrained(folder)
    opened, report = type(model).from_pretrained(folder, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    close(outputs(architecture, opened.eval()), expected)
    gone = sum(block.parameters for block in LayeredModel(model).blocks if block.index in remove)
    heirlooms = sum(p.numel() for name, p in model.named_parameters() if "relative_attention_bias" in name)
    assert 0 <= opened.num_parameters() - (model.num_parameters() - gone) <= heirlooms
    assert fields(opened.config.to_dict()).items() <= fields(pruned.config.to_dict()).items()


def fields(config: dict) -> dict:
    """Without what saving itself changes."""
    return {
        name: fields(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in ("_name_or_path", "architectures", "dtype")
    }


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    assert float((found - expected).abs().max()) <= 1e-3 * float(expected.abs().max())
