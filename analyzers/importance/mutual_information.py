"""Usable information about the label that a block adds."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from analyzers.errors import DataError, NotFinite
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.layers import frozen
from analyzers.records import LayerScore
from analyzers.tasks import Batch

FOLDS = 5
COMPONENTS = 64  # the probe sees at most so many principal components
POSITIONS = 16  # of each window of a language model
TOKENS = 16  # the most frequent next tokens are told apart, the others are one class


@importance_method(
    "mutual_information",
    title="Mutual information",
    unit="nats",
    cost="1 forward sweep and a probe for each layer",
    source="https://arxiv.org/abs/2002.10689",
)
def mutual_information(engine: Engine) -> list[LayerScore]:
    """Information about the label that a linear probe can use after the block, less what it can use before it.

    Usable information: H(Y) − the held-out loss of a logistic probe, cross-fitted in 5 folds; H(Y) cancels in the
    difference. Features are the mean over tokens; for a language model the hidden state at sampled positions, and the label
    is the next token, the 16 most frequent told apart. Negative where the block makes the label harder to read.

    Raises:
        DataError: fewer than two classes with five examples each.
        NotFinite: a hidden state is NaN or infinite.
    """
    features, labels = hidden_features(engine)
    broken = np.flatnonzero(~np.isfinite(features).all(axis=(1, 2)))
    if len(broken):
        where = f"after layer {broken[0] - 1}" if broken[0] else "before layer 0"
        raise NotFinite(
            f"hidden states {where} are NaN or infinite; mutual_information needs finite ones: leave the method out with "
            "--methods, or train the model again"
        )
    enough = [label for label, count in zip(*np.unique(labels, return_counts=True), strict=True) if count >= FOLDS]
    rows = np.isin(labels, enough)
    if len(enough) < 2:
        raise DataError(
            f"{len(labels)} calibration examples hold {len(enough)} classes with {FOLDS} or more; mutual_information needs "
            "two: give more --samples"
        )
    depths = engine.progress.track(range(features.shape[0]), features.shape[0], "probes")
    losses = np.stack([held_out_losses(features[depth][rows], labels[rows], engine.seed) for depth in depths])
    engine.diagnostics["mutual_information_examples"] = float(rows.sum())
    return engine.scores("mutual_information", -np.diff(losses, axis=0).T)


def hidden_features(engine: Engine) -> tuple[np.ndarray, np.ndarray]:
    """What probes see: features before block 0 and after each block, (layers + 1, rows, width), and labels (rows,)."""
    features: list[Tensor] = []
    labels: list[Tensor] = []
    generator = torch.Generator().manual_seed(engine.seed)
    for batch in engine.progress.track(engine.batches, len(engine.batches), "hidden states"):
        pool, label = _pooling(engine, batch.to(engine.layered.device), generator)
        depths: list[Tensor] = []

        def reduce(layer: int, given: Tensor, output: Tensor, pool: Any = pool, depths: list[Tensor] = depths) -> None:
            if layer == 0:
                depths.append(pool(given))
            depths.append(pool(output))

        with torch.no_grad(), frozen(engine.layered.model), engine.layered.capturing(reduce):
            engine.layered.model(**batch.to(engine.layered.device).inputs)
        features.append(torch.stack(depths).float().cpu())
        labels.append(label.cpu())
    found = torch.cat(labels).numpy()
    if not engine.task.labelled:
        values, counts = np.unique(found, return_counts=True)
        frequent = values[np.argsort(-counts, kind="stable")[:TOKENS]]
        found = np.where(np.isin(found, frequent), found, -1)
    return torch.cat(features, dim=1).numpy(), found


def _pooling(engine: Engine, batch: Batch, generator: torch.Generator) -> tuple[Any, Tensor]:
    """How hidden states (batch, tokens, width) become rows, and the label of each row."""
    if engine.task.labelled:
        weights = batch.inputs["attention_mask"].unsqueeze(-1).float()
        return lambda hidden: (hidden * weights).sum(1) / weights.sum(1), batch.labels
    tokens = batch.labels.shape[1]
    chosen = torch.rand(len(batch), tokens - 1, generator=generator).argsort(1)[:, :POSITIONS].to(batch.labels.device)
    labels = batch.labels.gather(1, chosen + 1).flatten()

    def pick(hidden: Tensor) -> Tensor:
        return hidden.gather(1, chosen.unsqueeze(-1).expand(-1, -1, hidden.shape[-1])).flatten(0, 1)

    return pick, labels


def held_out_losses(features: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Loss in nats of each row under a logistic probe that was fitted on the other folds, (rows,).

    Args:
        features: (rows, width).
        labels: (rows,), each class at least five times.
        seed: of the folds.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    losses = np.zeros(len(labels))
    for fit, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, labels):
        components = min(COMPONENTS, features.shape[1], len(fit) // 4)
        probe = make_pipeline(
            StandardScaler(),
            PCA(max(components, 1), random_state=seed, svd_solver="full"),
            StandardScaler(),
            GridSearchCV(
                LogisticRegression(max_iter=1000), {"C": [1e-3, 1e-2, 1e-1, 1.0]}, scoring="neg_log_loss", cv=3
            ),
        )
        with np.errstate(invalid="ignore"):  # features without variance: the PCA's share of it is 0/0, and is not used
            probe.fit(features[fit], labels[fit])
        chances = probe.predict_proba(features[held_out])
        column = np.searchsorted(probe.classes_, labels[held_out])
        losses[held_out] = -np.log(np.clip(chances[np.arange(len(held_out)), column], 1e-12, None))
    return losses
