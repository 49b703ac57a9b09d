"""Usable information about the label that a block adds."""

import time
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from analyzers.errors import DataError, NotFinite
from analyzers.importance.engine import Engine
from analyzers.importance.registry import importance_method
from analyzers.layers import LayeredModel
from analyzers.records import LayerScore
from analyzers.tasks import Batch, Task
from analyzers.work import Work

FOLDS = 5
COMPONENTS = 64  # the probe sees at most so many principal components
POSITIONS = 16  # of each window of a language model
ROWS = 2048  # that probes are fitted and held out on, at most
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)  # C of the probe, the strongest regularization first
TOKENS = 16  # the most frequent next tokens are told apart, the others are one class


class PooledStates:
    """What probes see: one row an example, or one a sampled position of a window; at most `ROWS` rows are kept."""

    name: ClassVar[str] = "pooled_states"

    def __init__(self, layered: LayeredModel, task: Task, seed: int) -> None:
        self._layers, self._task = len(layered), task
        self._generator = torch.Generator().manual_seed(seed)
        self._replacing = np.random.default_rng(seed)  # of its own: which positions are sampled hangs on no batch size
        self._features = torch.empty(0)
        self._labels = torch.empty(ROWS, dtype=torch.long)
        self._examples = torch.empty(ROWS, dtype=torch.long)
        self._seen = 0

    def begin(self, batch: Batch) -> None:
        self._depths: list[Tensor] = []
        if self._task.labelled:
            weights = batch.inputs["attention_mask"].unsqueeze(-1).float()  # (batch, tokens, 1)
            self._pool = lambda hidden: (hidden * weights).sum(1) / weights.sum(1)
            self._new_labels, self._new_examples = batch.labels.cpu(), batch.indices
            return
        tokens = batch.labels.shape[1]
        sampled = torch.rand(len(batch), tokens - 1, generator=self._generator).argsort(1)[:, :POSITIONS]
        chosen = sampled.to(batch.labels.device)  # (batch, positions)
        self._pool = lambda hidden: hidden.gather(1, chosen.unsqueeze(-1).expand(-1, -1, hidden.shape[-1])).flatten(
            0, 1
        )
        self._new_labels = batch.labels.gather(1, chosen + 1).flatten().cpu()
        self._new_examples = batch.indices.repeat_interleave(sampled.shape[1])

    def layer(self, index: int, given: Tensor, output: Tensor) -> None:
        if index == 0:
            self._depths.append(self._pool(given))
        self._depths.append(self._pool(output))

    def end(self) -> None:
        new = torch.stack(self._depths).float().cpu()  # (layers + 1, rows, width)
        if not self._seen:  # memory that is not written to is not taken: few examples need little
            self._features = torch.empty(new.shape[0], ROWS, new.shape[2])
        places = self._places(new.shape[1])
        slots, rows = list(places), list(places.values())
        self._features[:, slots] = new[:, rows]
        self._labels[slots] = self._new_labels[rows]
        self._examples[slots] = self._new_examples[rows]

    def result(self) -> dict[str, np.ndarray]:
        """Features (layers + 1, rows, width), labels (rows,) and the example that each row is of."""
        kept = min(self._seen, ROWS)
        labels = self._labels[:kept].numpy()
        if not self._task.labelled:
            values, counts = np.unique(labels, return_counts=True)
            frequent = values[np.argsort(-counts, kind="stable")[:TOKENS]]
            labels = np.where(np.isin(labels, frequent), labels, -1)
        features, examples = self._features[:, :kept].numpy(), self._examples[:kept].numpy()
        return {"features": features, "labels": labels, "examples": examples}

    def _places(self, rows: int) -> dict[int, int]:
        """Where rows go: slot -> row. Once all slots are taken each row has the same chance to be there (algorithm R)."""
        places: dict[int, int] = {}
        for row in range(rows):
            slot = self._seen if self._seen < ROWS else int(self._replacing.integers(self._seen + 1))
            if slot < ROWS:
                places[slot] = row
            self._seen += 1
        return places


@importance_method(
    "mutual_information",
    title="Mutual information",
    unit="nats",
    cost="1 forward sweep and a probe for each layer",
    reducers=(PooledStates,),
    source="https://arxiv.org/abs/2002.10689",
    main=True,
    work=lambda engine: _work(engine),
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
    seen = engine.reduced(PooledStates)
    features, labels = seen["features"], seen["labels"]
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
    gains = -np.diff(losses, axis=0).T  # (rows, layers)
    # Positions of one window are not independent: what is resampled is the example.
    _, example = np.unique(seen["examples"][rows], return_inverse=True)
    return engine.scores(
        "mutual_information",
        np.stack([np.bincount(example, each) for each in gains.T], axis=1) / np.bincount(example)[:, None],
    )


def _work(engine: Engine) -> Work:
    """A probe on numbers drawn at random takes about as long as one on hidden states."""
    depths = len(engine.layered) + 1
    classes = 2 if engine.task.labelled else TOKENS + 1
    seen = min(ROWS, engine.examples * (1 if engine.task.labelled else POSITIONS))
    rows = max(seen, FOLDS * classes)  # with fewer there is no probe
    generator = np.random.default_rng(0)
    features = generator.normal(size=(rows, engine.width))
    held_out_losses(generator.normal(size=(4 * FOLDS, 2)), np.arange(4 * FOLDS) % 2, engine.seed)  # loads scikit-learn
    began = time.perf_counter()
    held_out_losses(features, np.arange(rows) % classes, engine.seed)
    return Work(seconds=(time.perf_counter() - began) * depths, bytes=4.0 * 2 * depths * features.size)


def held_out_losses(features: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Loss in nats of each row under a logistic probe that was fitted on the other folds, (rows,).

    Args:
        features: (rows, width).
        labels: (rows,), each class at least five times.
        seed: of the folds.
    """
    from sklearn.decomposition import PCA
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    losses = np.zeros(len(labels))
    for fit, held_out in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, labels):
        components = min(COMPONENTS, features.shape[1], len(fit) // 4)
        seen = make_pipeline(
            StandardScaler(), PCA(max(components, 1), random_state=seed, svd_solver="full"), StandardScaler()
        )
        with np.errstate(invalid="ignore"):  # features without variance: the PCA's share of it is 0/0, and is not used
            shown = seen.fit_transform(features[fit])
        probe = _probe(shown, labels[fit])
        losses[held_out] = _losses(probe, seen.transform(features[held_out]), labels[held_out])
    return losses


def _probe(features: np.ndarray, labels: np.ndarray) -> Any:
    """A logistic probe whose strength of regularization does best in 3 folds.

    GridSearchCV finds the same one: for each fit it spends longer on looking at its arguments than on the fit. So small a
    fit is slower on several threads.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from threadpoolctl import threadpool_limits

    folds = list(StratifiedKFold(3).split(features, labels))

    def fitted(strength: float, rows: Any = slice(None)) -> Any:
        return LogisticRegression(C=strength, max_iter=1000).fit(features[rows], labels[rows])

    def loss(strength: float) -> float:
        return float(np.mean([_losses(fitted(strength, fit), features[out], labels[out]).mean() for fit, out in folds]))

    with threadpool_limits(1):
        return fitted(min(STRENGTHS, key=loss))


def _losses(probe: Any, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each row in nats, (rows,)."""
    chances = probe.predict_proba(features)
    column = np.searchsorted(probe.classes_, labels)
    return -np.log(np.clip(chances[np.arange(len(labels)), column], 1e-12, None))
