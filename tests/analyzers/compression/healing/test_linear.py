"""Closed-form repair: against an oracle, at the right places, and refused where nothing can be folded."""

from pathlib import Path

import pytest
import torch

from analyzers.compression import folding
from analyzers.compression.folding import _part, _Patch, _Projection, cuts, fold_cuts
from analyzers.compression.healing import Case, find, names
from analyzers.compression.surgery import remove_blocks
from analyzers.errors import ModelError, UnknownMethod
from analyzers.layers import LayeredModel
from analyzers.progress import Progress
from analyzers.records import CompressRequest
from analyzers.tasks.classification import Classification
from analyzers.tasks.language_modeling import LanguageModeling
from tests.analyzers.compression.conftest import decoder, encoder, token_batch


def test_the_list_of_strategies():
    assert names() == ("distill", "linear", "lora", "qlora")
    for name in names():
        assert find(name).SOURCE.startswith("https://")
    with pytest.raises(
        UnknownMethod, match="no strategy of healing 'magic'; there are: distill, linear, lora, qlora, or none"
    ):
        find("magic")
    with pytest.raises(ValueError, match="is no strategy of healing"):
        CompressRequest(plan="p", heal="magic")


def test_cuts():
    dense = LayeredModel(decoder(8))
    assert cuts(dense, [0, 1, 3, 4, 7]) == ([(1, 2), (3, 6)], [])
    assert cuts(dense, [2, 3, 4, 5, 6]) == ([(4, 7)], [1])  # nothing stands before the first two


@pytest.mark.parametrize("biased", [False, True])
def test_projection_against_least_squares(biased: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folding, "RIDGE", 1e-12)
    torch.manual_seed(0)
    part = torch.nn.Linear(5, 3, bias=biased)
    given, target, weight = torch.randn(40, 5).double(), torch.randn(40, 3).double(), torch.rand(40, 1).double()
    with torch.no_grad():
        own = part(given.float()).double()
    sums = _Projection(part)
    for rows in (slice(0, 7), slice(7, 40)):  # streamed: the parts of the sum give the whole
        sums.add(given[rows], own[rows], target[rows], weight[rows])
    left = sums.fold()
    rows = torch.cat([given, torch.ones(40, 1).double()], 1) if biased else given
    oracle = torch.linalg.lstsq(rows * weight, target * weight).solution
    with torch.no_grad():
        assert torch.allclose(part(given.float()), (rows @ oracle).float(), atol=1e-5)
    rest = ((rows @ oracle - target) * weight).square().sum() / ((own - target) * weight).square().sum()
    assert left == pytest.approx(float(rest), rel=1e-4)


def test_patch_by_hand():
    # The target is twice the output and one more, in each channel.
    norm = torch.nn.LayerNorm(2)
    own = torch.tensor([[1.0, 3.0], [2.0, 5.0], [4.0, 1.0]]).double()
    sums = _Patch(norm)
    sums.add(own, own, 2 * own + 1, torch.tensor([[1.0], [0.5], [2.0]]).double())
    assert sums.fold() == pytest.approx(0, abs=1e-9)
    assert torch.allclose(norm.weight, torch.full((2,), 2.0))
    assert torch.allclose(norm.bias, torch.full((2,), 1.0))


class Texts:
    """A task that reads the same tokens whatever the data."""

    def __init__(self, task):
        self.task, self.labelled = task, task.labelled

    def batches(self, *given):
        return [token_batch(8, 20, seed) for seed in range(8)]

    def run(self, model, batch):
        model(**batch.inputs)


class Nothing:
    train = ()


def case_of(dense, pruned, kept, task) -> Case:
    settings = type("Settings", (), {"batch_size": 8, "max_tokens": 20, "seed": 0})()
    return Case(LayeredModel(dense), pruned, kept, Texts(task), None, Nothing(), settings, Path(), Progress())


def behind(model, layer: int) -> torch.Tensor:
    seen = {}
    with torch.no_grad(), LayeredModel(model).capturing(lambda index, given, output: seen.update({index: output})):
        model(**token_batch(8, 20, 99).inputs)
    return seen[layer]


@pytest.mark.parametrize(
    ("kind", "part"), [("Llama", "mlp.down_proj"), ("GPT2", "mlp.c_proj"), ("Bert", "output.LayerNorm")]
)
def test_what_the_next_block_receives_comes_nearer(kind: str, part: str):
    if kind == "Bert":
        dense, task = encoder(), Classification()
    elif kind == "Llama":
        dense, task = decoder(), LanguageModeling()
    else:
        from transformers import GPT2Config, GPT2LMHeadModel

        torch.manual_seed(0)
        sizes = {"n_embd": 16, "n_layer": 4, "n_head": 2, "vocab_size": 40, "n_positions": 64, "initializer_range": 0.3}
        dense, task = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=1, eos_token_id=2)).eval(), LanguageModeling()
    kept = [0, 1, 3]
    pruned = remove_blocks(dense, [2])
    case = case_of(dense, pruned, kept, task)
    found = _part(LayeredModel(pruned), 1, case.task, token_batch(1))
    block = LayeredModel(pruned).blocks[1].module
    assert next(name for name, each in block.named_modules() if each is found) == part
    before = {name: value.clone() for name, value in pruned.state_dict().items()}
    target, unhealed = behind(dense, 2), behind(pruned, 1)
    left = fold_cuts(case)
    assert left < 1
    healed = behind(pruned, 1)
    assert (healed - target).norm() < 0.95 * (unhealed - target).norm(), "on texts that it was not fitted on"
    changed = [name for name, value in pruned.state_dict().items() if not torch.equal(before[name], value)]
    assert changed
    assert all(part in name for name in changed), "one part of one block"


def test_refused_where_nothing_can_be_folded():
    dense = decoder()
    with pytest.raises(
        ModelError, match=r"nothing can be folded into LlamaForCausalLM at its cuts, before block 2.*--heal distill"
    ):
        fold_cuts(case_of(dense, remove_blocks(dense, [0, 1]), [2, 3], LanguageModeling()))
