"""In how many directions the matrices of a block work."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from analyzers.errors import ModelError, NotFinite
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.records import LayerScore
from analyzers.stacks import Block


@importance_method(
    "spectral",
    title="Stable rank",
    unit="directions",
    cost="no data; the eigenvalues of a Gram matrix for each weight matrix",
    source="https://arxiv.org/abs/1707.09564",
)
def spectral(engine: Engine) -> list[LayerScore]:
    """Mean stable rank ‖W‖²_F / ‖W‖²₂ of the block's weight matrices.

    What a layer adds to the capacity of the network in the bound of the paper, Π‖W‖²₂ · Σ ‖W‖²_F/‖W‖²₂: the product is
    common to all layers, the stable ranks are each layer's own. It does not change with the scale of a matrix, which
    normalisation layers make arbitrary; spectral norms do, and are only reported: `spectral_norm_LAYER`, the largest of the
    block. From the weights alone, so nothing is sampled and the interval is a point. A matrix of zeros has rank 0.

    Raises:
        NotFinite: a weight is NaN or infinite.
        ModelError: a block has no matrix.
    """
    blocks = engine.layered.blocks
    ranks = np.zeros((1, len(blocks)))
    for block in engine.progress.track(blocks, len(blocks), "spectra of weights"):
        pairs = [_spectrum(matrix) for matrix in _matrices(block)]
        if not pairs:
            raise ModelError(
                f"block {block.index} ({block.name}) has no weight matrix; spectral needs one in each: leave the method out "
                "with --methods"
            )
        ranks[0, block.index] = np.mean([rank for rank, _ in pairs])
        engine.diagnostics[f"spectral_norm_{block.index}"] = max(norm for _, norm in pairs)
    return engine.scores("spectral", ranks)


def _matrices(block: Block) -> Iterator[Tensor]:
    """Each as (rows, columns); kernels of convolutions as (outputs, the rest), stacked experts one by one."""
    for module in block.module.modules():
        for name, weight in module.named_parameters(recurse=False):
            if not torch.isfinite(weight).all():
                raise NotFinite(
                    f"{name} of a {type(module).__name__} in block {block.index} ({block.name}) is NaN or infinite; spectral "
                    "needs finite weights: leave the method out with --methods, or train the model again"
                )
            if isinstance(module, nn.Conv1d | nn.Conv2d) and weight.ndim > 2:
                yield weight.detach().flatten(1)
            elif weight.ndim >= 2:
                yield from weight.detach().reshape(-1, *weight.shape[-2:])


def _spectrum(matrix: Tensor) -> tuple[float, float]:
    """Stable rank and spectral norm, from the smaller Gram matrix: ‖W‖²₂ is its largest eigenvalue, ‖W‖²_F its trace."""
    wide = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    wide = wide.double()
    gram = wide @ wide.T
    largest = float(torch.linalg.eigvalsh(gram)[-1])
    return (float(gram.trace()) / largest, largest**0.5) if largest > 0 else (0.0, 0.0)
