"""Plans of demo:smollm2 beside every published baseline, on the test split, nothing healed: `make bench ONLY=plans`."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from analyzers import datasets
from analyzers.baselines import similarity, weight_times_gradient
from analyzers.budget import Budget
from analyzers.coalitions import Coalitions, Kept
from analyzers.datasets.splits import split
from analyzers.evaluation import outcome
from analyzers.layers import LayeredModel
from analyzers.models import load
from analyzers.planning import Published, Search
from analyzers.progress import Progress
from analyzers.records import Estimate
from analyzers.references import parse_data, parse_model
from analyzers.samples import in_eighths
from analyzers.sublayers import SubLayers
from analyzers.tasks import Batch, Task

SETTING = "demo:smollm2, demo:nyt, 8 select and 32 test windows of 128 tokens, nothing healed"
WINDOWS = 8
CALIBRATION = 16
TEST = 32
MARGIN = 0.3  # nats on select
BUDGETS = {"block": 64.0, "sublayer": 96.0}
# (blocks, granularity) -> largest perplexity on the test split, relative to the best baseline's
TARGETS = {(4, "block"): 1.0, (8, "block"): 0.95, (12, "block"): 1.0, (8, "sublayer"): 0.90}


class Saying(Progress):
    """Shows what a search says of itself."""

    def say(self, text: str) -> None:
        print(f"<!-- {text} -->", flush=True)


@dataclass
class Bench:
    """The model, its data, and what the baselines go by."""

    layered: LayeredModel
    task: Task
    batches: dict[str, list[Batch]]
    published: Published

    def search(self, granularity: str, budget: float, seed: int = 0) -> Search:
        units, groups = self.layered, [frozenset({layer}) for layer in range(len(self.layered))]
        sizes = [1] * len(groups)
        if granularity == "sublayer":
            units = SubLayers(self.layered.model, self.batches["test"][0].rows(0, 1).inputs)
            groups, sizes = units.groups, [part.parameters for part in units.blocks]
        coalitions = Coalitions(units, self.task, in_eighths(self.batches["select"], seed))
        coalitions.measure([coalitions.everything])
        return Search(coalitions, groups, sizes, self.published, Budget(budget), Saying(), seed=seed)


def bench(cache_folder: Path, windows: int = WINDOWS) -> Bench:
    quiet = Progress()
    data = datasets.load(parse_data("demo:nyt"), cache_folder, quiet, labelled=False)
    loaded = load(parse_model("demo:smollm2"), cache_folder, torch.device("cpu"), quiet)
    splits, task, layered = split(data, 0), loaded.task, LayeredModel(loaded.model)
    samples = {"train": CALIBRATION, "select": windows, "test": TEST}
    batches = {
        name: task.batches(getattr(splits, name), loaded.tokenizer, 16, 128, count, 0)
        for name, count in samples.items()
    }
    found = similarity(layered, task, batches["train"], quiet)
    taylor = weight_times_gradient(layered, task, batches["train"], quiet)
    return Bench(layered, task, batches, Published({}, found, taylor.tolist()))


def rows(given: Bench, remove: int, granularity: str, budget: float) -> Iterator[str]:
    """The table of one size, and whether its target is met."""
    begin = time.monotonic()
    search = given.search(granularity, budget)
    kept, seeds, _ = search.best(search.layers - remove)
    took = time.monotonic() - begin
    ordered = sorted(seeds, key=lambda name: search.quality(seeds[name]))
    # Those that are far behind on select cannot be the best on test.
    least = search.coalitions.mean_loss(seeds[ordered[0]])
    told = [name for name in ordered if search.coalitions.mean_loss(seeds[name]) < least + MARGIN]
    test = Coalitions(search.coalitions.layered, given.task, given.batches["test"])
    test.measure([test.everything, kept, *(seeds[name] for name in told)])
    yield f"\n{remove} of {search.layers} blocks, {granularity}: {search.spent:.0f} evaluations, {took / 60:.1f} minutes\n"
    yield "| from | removes | select | test | 95 % |"
    yield "|---|---|---|---|---|"
    for name, chosen in [("all", test.everything), ("search", kept), *((name, seeds[name]) for name in ordered)]:
        on_select = search.coalitions.metric(chosen)
        found = outcome(given.task, test[chosen]).metric if chosen in test.known() else None
        yield f"| {name} | {names(chosen, search)} | {on_select:.1f} | {shown(found)} |"
    best = min(test.metric(seeds[name]) for name in told)
    ratio, target = test.metric(kept) / best, TARGETS.get((remove, granularity))
    verdict = "" if target is None else f", target {target:g}× {'met' if ratio <= target else 'MISSED'}"
    yield f"\nTest perplexity **{ratio:.3f}×** that of the best baseline on the test split{verdict}."


def names(kept: Kept, search: Search) -> str:
    units = search.coalitions.layered.layers
    gone = sorted(search.coalitions.everything - kept)
    if len(search.sizes) == search.layers:
        return ", ".join(map(str, gone)) or "nothing"
    return ", ".join(".".join(units[unit].name.split(".")[-2:]) for unit in gone) or "nothing"


def shown(found: Estimate | None) -> str:
    return "| " if found is None else f"{found.value:.1f} | {found.low:.1f} to {found.high:.1f}"


def tables(
    cache_folder: Path, wanted: Sequence[tuple[int, str]] = tuple(TARGETS), windows: int = WINDOWS
) -> Iterator[str]:
    yield f"{SETTING.replace('8 select', f'{windows} select')}"
    given = bench(cache_folder, windows)
    for remove, granularity in wanted:
        yield from rows(given, remove, granularity, BUDGETS[granularity])
