"""Healing by a strategy, judged on the select split: it helps or it changes nothing."""

from collections.abc import Sequence

from analyzers.compression.healing import Case, find
from analyzers.datasets import Example
from analyzers.datasets.splits import Splits, same_text
from analyzers.evaluation import losses_of, outcome
from analyzers.layers import LayeredModel
from analyzers.records import Healing, HealingEpoch


def healed(strategy: str, case: Case) -> Healing:
    """Heal the smaller model; it is left with the weights that did best on select, perhaps those that it had.

    Raises:
        UnknownMethod: no such strategy.
        ModelError: the strategy does not fit the model or the machine.
        NotFinite, StorageError, DamagedRecord, Cancelled: as training does; after the last two the state is kept.
    """
    way, task, settings = find(strategy), case.task, case.settings
    before = {name: value.detach().clone() for name, value in case.pruned.state_dict().items()}
    batches = task.batches(case.splits.select, case.tokenizer, settings.batch_size, settings.max_tokens)
    unhealed = outcome(task, losses_of(LayeredModel(case.pruned, least=1), task, batches), settings.seed)
    course = way.heal(case)
    best = course.epochs[course.best_epoch - 1]
    sign = 1 if task.higher_is_better else -1
    better = sign * best.select.metric.value > sign * unhealed.metric.value
    if not better:
        case.pruned.load_state_dict(before)
    return Healing(
        strategy=strategy,
        epochs=[HealingEpoch(epoch=e.epoch, train_loss=e.train_loss, select=e.select) for e in course.epochs],
        best_epoch=course.best_epoch if better else 0,
        seconds=course.seconds,
        minutes=case.minutes,
    )


def transferred(texts: Sequence[Example], source: str, splits: Splits) -> tuple[Example, ...]:
    """Texts to learn from without their labels, less those that are in any split; a language model reads them in one row."""
    known = {same_text(each) for part in (splits.train, splits.select, splits.test) for each in part}
    return tuple(Example(each.text, None, source) for each in texts if same_text(each) not in known)
