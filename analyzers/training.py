"""Fit a model to a task, so that a run that was killed and taken up again ends exactly where an undisturbed one does.

The folder of a training run holds `state.pt` (all that is needed to go on), `best.safetensors` (the weights of the best
epoch so far) and `tensorboard/`. The first two are replaced whole or not at all.
"""

import pickle
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from analyzers.checkpoint import fitted, load_fitted, replace_whole, save_tensors, whole_or_not
from analyzers.datasets.splits import Splits
from analyzers.errors import Cancelled, DamagedRecord, NotFinite, UsageError
from analyzers.evaluation import losses_of, outcome
from analyzers.layers import LayeredModel
from analyzers.mixed_precision import mixed
from analyzers.progress import Progress
from analyzers.random_states import random_states, seed_all, set_random_states
from analyzers.records import TrainEpoch, TrainRequest, TrainResult
from analyzers.replicas import Replicas
from analyzers.schedule import batch_order, joined, one_cycle
from analyzers.tasks import Batch, Task
from analyzers.weights import parameter_count

STATE = "state.pt"
BEST = "best.safetensors"
FLUSH_EVERY = 5  # seconds between two writes of the curves, which are looked at while they grow
SAVE_EVERY = 60.0  # seconds between two states within an epoch

_WEIGHT_DECAY = 0.01
_CLIP = 1.0


@dataclass
class Position:
    """Where a training run is, apart from the tensors."""

    epoch: int = 1
    step: int = 0  # batches done in this epoch
    rows: int = 0  # examples in them
    loss: float = 0.0  # sum over the examples of this epoch, nats
    seconds: float = 0.0  # of this epoch
    epochs: list[TrainEpoch] = field(default_factory=list)  # those that are finished
    best_epoch: int = 0
    done: bool = False


def train(
    model: Any,
    task: Task,
    tokenizer: Any,
    splits: Splits,
    settings: TrainRequest,
    folder: Path,
    progress: Progress,
    *,
    resume: bool = False,
    minutes: float | None = None,
    spent: float = 0.0,
    replicas: Replicas | None = None,
) -> TrainResult:
    """Fit the model on the train split; on return it has the weights of the epoch that was best on the select split.

    AdamW, one learning-rate cycle, gradients clipped to norm 1, stopped early after `settings.patience` epochs that
    were no better. When the run is recorded, `discard_state` frees what only going on would need.

    Args:
        model: a transformers model with a head, on the device to train on.
        task: gives batches and per-example losses.
        tokenizer: of the model.
        splits: fitted on `train`, chosen on `select`; `test` is not touched.
        settings: epochs, batch size, learning rate and so on.
        folder: of the run.
        progress: ticks once a batch.
        resume: go on from the state in the folder; with none there, start from the beginning.
        minutes: end after so long, the last look at the select split included, wherever in an epoch that is; the
            learning rate comes down by then. The time of a run that is taken up goes on where it was.
        spent: seconds of that time that were gone before.
        replicas: the other processes of this training, which all do the same on their rows; only where the epochs end it.

    Only parameters that require a gradient are fitted, kept and saved: a frozen base stays as it is.

    Raises:
        NotFinite: a loss or a gradient was NaN or infinite; names the batch.
        UsageError: the state in the folder belongs to other settings or other data.
        DamagedRecord: the state in the folder cannot be read.
        StorageError: the disk is full; the last state is whole.
        NoBlocks: the model has no stack of layers.
        Cancelled: the user stopped it; the state is saved.
    """
    with whole_or_not(folder):
        folder.mkdir(parents=True, exist_ok=True)
        limit = None if minutes is None else 60 * minutes
        alone = replicas or Replicas()
        return _Training(model, task, tokenizer, splits, settings, folder, progress, limit, spent, alone).run(resume)


def load_best(model: Any, folder: Path) -> None:
    """Give a model the weights of the best epoch of the training in this folder.

    Raises:
        StorageError: they cannot be read.
    """
    with whole_or_not(folder):
        load_fitted(model, load_file(folder / BEST, device=str(next(model.parameters()).device)))


def discard_state(folder: Path) -> None:
    """Remove the files that only going on needs: about four times the size of the model."""
    for name in (STATE, BEST):
        (folder / name).unlink(missing_ok=True)


def token_limit(model: Any, tokenizer: Any, wanted: int) -> int:
    """The wanted number of tokens a text, or what the model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None) or wanted
    return int(min(wanted, positions, tokenizer.model_max_length))


class _Training:
    """One training run; every number that changes is in `at`, the model, the optimizer, the schedule or a generator."""

    def __init__(
        self,
        model: Any,
        task: Task,
        tokenizer: Any,
        splits: Splits,
        settings: TrainRequest,
        folder: Path,
        progress: Progress,
        seconds: float | None,
        spent: float,
        replicas: Replicas,
    ) -> None:
        self.layered = LayeredModel(model, least=1)
        self.model, self.task, self.tokenizer = model, task, tokenizer
        self.settings, self.folder, self.progress, self.splits = settings, folder, progress, splits
        limit = token_limit(model, tokenizer, settings.max_tokens)
        self.rows = task.batches(splits.train, tokenizer, 1, limit)
        self.lengths = [next(iter(row.inputs.values())).shape[1] for row in self.rows]
        self.select = task.batches(splits.select, tokenizer, settings.batch_size, limit)
        self.steps = -(-len(self.rows) // settings.batch_size)  # of one epoch
        self.optimizer = torch.optim.AdamW(_parameter_groups(model), lr=settings.learning_rate, fused=True)
        self.replicas = replicas
        self.limit = seconds  # None: the epochs end it
        self.at = Position(seconds=spent)
        self.looking = 0.0  # seconds that the last look at the select split took
        self.lap = time.monotonic()
        self.cycle = max(4, self.steps * settings.epochs)
        # LambdaLR rather than OneCycleLR, whose steps have to be counted beforehand: a clock may end this one.
        self.schedule = LambdaLR(self.optimizer, lambda _: one_cycle(self._share(), self.cycle))
        self.saved = time.monotonic()

    def run(self, resume: bool) -> TrainResult:
        seed_all(self.settings.seed)
        if not (resume and self._restore()) and self.replicas.leads:
            discard_state(self.folder)
        if not self.at.done:
            try:
                self._fit()
            except Cancelled:  # raised between two batches: a good place to go on from
                self._save()
                raise
            finally:
                self.model.eval()
        if self.replicas.leads:  # the others may be here before the file is
            load_best(self.model, self.folder)
        return TrainResult(
            task=self.task.name,
            metric=self.task.metric,
            labels=list(self.splits.labels),
            layers=len(self.layered),
            parameters=parameter_count(self.model),
            epochs=self.at.epochs,
            best_epoch=self.at.best_epoch,
            stopped_early=len(self.at.epochs) < self.settings.epochs,
        )

    def _fit(self) -> None:
        before = (self.at.epoch - 1) * self.steps + self.at.step
        remaining = self.settings.epochs * self.steps - before
        again = before + 1 if before else None  # events from this step on are of work that was lost
        self.lap = time.monotonic()
        with self._board(again) as board:
            if self._ended():  # stopped after the last batch of an epoch, before it was finished
                self._finish_epoch(board)
            for batch in self.progress.track(self._batches(), remaining, "training"):
                rate = self.schedule.get_last_lr()[0]
                loss = self._step(batch)
                step = (self.at.epoch - 1) * self.steps + self.at.step
                board.add_scalar("train/loss", loss, step)
                board.add_scalar("train/learning_rate", rate, step)
                if self._ended():
                    self._finish_epoch(board)
                elif time.monotonic() - self.saved > SAVE_EVERY:
                    self._save()

    def _board(self, again: int | None) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        if not self.replicas.leads:
            return nullcontext(_NoBoard())
        return SummaryWriter(self.folder / "tensorboard", purge_step=again, flush_secs=FLUSH_EVERY)

    def _batches(self) -> Iterator[Batch]:
        """The batches that are still to be done. Their order follows from seed and epoch alone."""
        while not self.at.done:
            order = batch_order(self.lengths, self.settings, self.at.epoch)
            for rows in order[self.at.step :]:
                yield joined([self.rows[row] for row in rows], self.tokenizer)
                if self.at.done:  # the time is up
                    return

    def _spent(self) -> float:
        """Seconds since the beginning, those of a stopped run with them."""
        return sum(epoch.seconds for epoch in self.at.epochs) + self.at.seconds

    def _share(self) -> float:
        """How much of the whole is done, by steps or by the clock."""
        done = ((self.at.epoch - 1) * self.steps + self.at.step) / (self.cycle - 1)
        return min(1.0, done if self.limit is None else max(done, self._spent() / max(1e-9, self.limit - self.looking)))

    def _ended(self) -> bool:
        """Whether the epoch is over, by its batches or by the clock."""
        return self.at.step == self.steps or (self.at.step > 0 and self._no_time())

    def _no_time(self) -> bool:
        """Whether nothing but a last look at the select split fits into the time."""
        return self.limit is not None and self._spent() + self.looking >= self.limit

    def _lap(self) -> float:
        """Seconds since it was last asked."""
        now = time.monotonic()
        gone, self.lap = now - self.lap, now
        return gone

    def _step(self, batch: Batch) -> float:
        self.model.train()
        rows, share = self.replicas.rows(len(batch))
        part = batch if share == 1.0 else batch.rows(rows.start, rows.stop)
        precision = mixed(self.settings.mixed_precision, self.layered.device)
        with precision, self.replicas.drawing(rows, len(batch)):
            mine = self.task.losses(self.model, part.to(self.layered.device))  # (rows,)
        losses = self.replicas.gathered(mine.detach(), rows, len(batch))  # (batch,)
        loss = losses.mean()
        self._check_finite(loss, "loss", batch)
        (mine.mean() * share).backward()
        self.replicas.add_up(self.model.parameters())
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), _CLIP)
        self._check_finite(norm, "norm of the gradient", batch)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.at.step += 1
        self.at.rows += len(batch)
        self.at.loss += float(losses.sum())
        self.at.seconds += self._lap()
        self.schedule.step()
        return loss.item()

    def _check_finite(self, value: Tensor, what: str, batch: Batch) -> None:
        if not torch.isfinite(value):
            examples = ", ".join(str(int(index)) for index in batch.indices[:8])
            raise NotFinite(
                f"the {what} is {value.item()} in batch {self.at.step + 1} of epoch {self.at.epoch} "
                f"(examples {examples} of the train split); try a --learning-rate below {self.settings.learning_rate:g}"
            )

    def _finish_epoch(self, board: Any) -> None:
        self.model.eval()
        found = outcome(
            self.task,
            losses_of(self.layered, self.task, self.select, executor=self.replicas.executor),
            self.settings.seed,
        )
        self.looking = self._lap()
        epoch = TrainEpoch(
            epoch=self.at.epoch,
            train_loss=self.at.loss / self.at.rows,
            select=found,
            seconds=round(self.at.seconds + self.looking, 3),
        )
        if not self.at.best_epoch or self._better(epoch, self.at.epochs[self.at.best_epoch - 1]):
            self.at.best_epoch = epoch.epoch
            if self.replicas.leads:
                replace_whole(self.folder / BEST, lambda path: save_file(fitted(self.model), path))
        self.at = replace(
            self.at, epoch=epoch.epoch + 1, step=0, rows=0, loss=0.0, seconds=0.0, epochs=[*self.at.epochs, epoch]
        )
        waited = epoch.epoch - self.at.best_epoch
        self.at.done = epoch.epoch == self.settings.epochs or waited >= self.settings.patience or self._no_time()
        self._save()
        for name, estimate in ((self.task.metric, found.metric), ("loss", found.loss)):
            board.add_scalar(f"select/{name}", estimate.value, epoch.epoch * self.steps)
        self.progress.say(
            f"epoch {epoch.epoch} of {self.settings.epochs}: train loss {epoch.train_loss:.3f}; on select "
            f"{self.task.metric} {found.metric.value:.4g}, loss {found.loss.value:.3f}"
            + (" (best so far)" if not waited else "")
        )

    def _better(self, new: TrainEpoch, old: TrainEpoch) -> bool:
        sign = 1 if self.task.higher_is_better else -1
        return (sign * new.select.metric.value, -new.select.loss.value) > (
            sign * old.select.metric.value,
            -old.select.loss.value,
        )

    # --- going on later -------------------------------------------------------------------------------------------

    def _belongs_to(self) -> dict[str, Any]:
        hashes = {name: split.sha256 for name, split in self.splits.fingerprints.items()}
        return {"settings": self.settings.model_dump(mode="json"), "splits": hashes}

    def _save(self) -> None:
        if not self.replicas.leads:
            return
        state = {
            "belongs_to": self._belongs_to(),
            "position": vars(self.at) | {"epochs": [epoch.model_dump() for epoch in self.at.epochs]},
            "model": fitted(self.model),
            "looking": self.looking,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": random_states(),
        }
        replace_whole(self.folder / STATE, lambda path: save_tensors(state, path))
        self.saved = time.monotonic()

    def _restore(self) -> bool:
        path = self.folder / STATE
        if not path.is_file():
            self.progress.say("no state was saved yet; starting from the beginning")
            return False
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            mine = state["belongs_to"] == self._belongs_to()
            if mine:
                load_fitted(self.model, state["model"])
                self.looking = state["looking"]
                self.optimizer.load_state_dict(state["optimizer"])
                self.schedule.load_state_dict(state["schedule"])
                epochs = [TrainEpoch.model_validate(epoch) for epoch in state["position"]["epochs"]]
                self.at = Position(**state["position"] | {"epochs": epochs})
                set_random_states(state["random"])
            best_is_there = not self.at.best_epoch or (self.folder / BEST).is_file()
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, TypeError) as error:
            raise DamagedRecord(
                f"{path} is damaged ({type(error).__name__}); start anew: the same command without --resume"
            ) from error
        if not mine:
            raise UsageError(
                f"{path} was saved by another command or other data; repeat that command with --resume, or start "
                "anew without it"
            )
        if not best_is_there:
            raise DamagedRecord(f"{self.folder / BEST} is gone; start anew: the same command without --resume")
        self.progress.say(f"going on with epoch {self.at.epoch}, batch {self.at.step + 1} of {self.steps}")
        return True


class _NoBoard:
    """Takes the curves of a process that writes none."""

    def add_scalar(self, name: str, value: float, step: int) -> None: ...


def _parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Biases and the weights of norms have one dimension: they are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": _WEIGHT_DECAY},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
