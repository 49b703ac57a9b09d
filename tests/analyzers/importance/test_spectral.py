import numpy as np
import pytest
import torch

from analyzers.errors import ModelError, NotFinite
from analyzers.importance.spectral import spectral
from tests import tiny


def one(*weights) -> list[float]:
    width = len(weights[0])
    model = tiny.Stack([[0.0] * width], [tiny.Residual(weight) for weight in weights], [[1.0] * width])
    return [score.value for score in spectral(tiny.engine(model, []))]


def test_by_hand():
    # Singular values 4 and 3: (16 + 9) / 16. An identity works in all directions, a product of vectors in one.
    assert one([[0.0, 3.0], [4.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 4.0]]) == pytest.approx(
        [25 / 16, 2, 1]
    )


def test_does_not_know_the_scale():
    weight = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    first, second, none = one(weight.tolist(), (100 * weight).tolist(), torch.zeros(3, 3).tolist())
    assert first == pytest.approx(second)
    assert none == 0


@pytest.mark.parametrize("build", [tiny.bert, tiny.llama])
def test_equals_singular_values(build):
    engine = tiny.engine(build(), [])
    for score in spectral(engine):
        matrices = [p for p in engine.layered.blocks[score.layer].module.parameters() if p.ndim == 2]
        values = [torch.linalg.svdvals(matrix.detach().double()).numpy() for matrix in matrices]
        assert len(values) >= 6
        assert score.value == pytest.approx(np.mean([(each**2).sum() / each[0] ** 2 for each in values]), rel=1e-6)
        assert score.low == score.value == score.high
        assert engine.diagnostics[f"spectral_norm_{score.layer}"] == pytest.approx(max(v[0] for v in values), rel=1e-6)


def test_experts_count_one_by_one_and_kernels_as_one_matrix():
    model = tiny.scalar_stack(1.0, 1.0)
    for block in model.blocks:
        block.linear = None
        block.experts = torch.nn.Parameter(torch.stack([torch.eye(3), torch.diag(torch.tensor([1.0, 0.0, 0.0]))]))
        block.kernel = torch.nn.Conv1d(2, 2, 2, bias=False)
    model.blocks[0].kernel.weight.data = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    model.blocks[1].kernel.weight.data = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]])
    found = spectral(tiny.engine(model, []))
    assert [score.value for score in found] == pytest.approx([np.mean([3, 1, 1]), np.mean([3, 1, 2])])


def test_a_block_without_a_matrix():
    model = tiny.scalar_stack(1.0, 1.0)
    for block in model.blocks:
        block.linear = torch.nn.LayerNorm(1)
    with pytest.raises(ModelError, match=r"block 0 \(blocks.0\) has no weight matrix; .*--methods"):
        spectral(tiny.engine(model, []))


def test_says_which_weight_is_not_finite():
    with pytest.raises(NotFinite, match=r"weight of a Linear in block 1 .* is NaN or infinite"):
        spectral(tiny.engine(tiny.scalar_stack(1.0, float("inf")), []))
