"""Plans beside every published baseline, on the test split, nothing healed: `make bench ONLY=plans`.

SLEB's greedy order is measured exactly, every layer in each step, apart from the search, which may measure as many sets as
that takes.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from analyzers import datasets
from analyzers.baselines import similarity, weight_times_gradient
from analyzers.budget import Budget
from analyzers.coalitions import Coalitions, Kept
from analyzers.datasets.splits import Splits, split
from analyzers.evaluation import outcome
from analyzers.fidelity import greedy_order
from analyzers.layers import LayeredModel
from analyzers.models import Loaded, load, match_labels
from analyzers.planning import Published, Search
from analyzers.progress import Progress
from analyzers.records import Estimate, TrainRequest
from analyzers.references import parse_data, parse_model
from analyzers.samples import in_eighths
from analyzers.sublayers import SubLayers
from analyzers.tasks import Batch, Task
from tools import workflows
from tools.inputs import MODEL_FOLDER
from tools.workspace import Workspace

TOKENS = 128
WINDOWS = 32  # of the language model, on select
CALIBRATION = 16
TEXTS = 128  # of the classifier, for the baselines that look at the train split
MARGIN = 0.3  # nats on select
# (blocks, granularity) -> largest perplexity on the test split, relative to the best baseline's
TARGETS = {(4, "block"): 1.0, (8, "block"): 0.95, (12, "block"): 1.0, (8, "sublayer"): 0.90}
RATIOS = (1.5, 2, 3)  # of the trained demo model


class Saying(Progress):
    """Shows what a search says of itself."""

    def say(self, text: str) -> None:
        print(f"<!-- {text} -->", flush=True)


@dataclass
class Bench:
    """A model, its data, and what the baselines go by."""

    setting: str
    layered: LayeredModel
    task: Task
    batches: dict[str, list[Batch]]
    published: Published
    sleb: Coalitions
    order: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, setting: str, loaded: Loaded, splits: Splits, samples: dict[str, int | None]) -> "Bench":
        task, layered, quiet = loaded.task, LayeredModel(loaded.model), Progress()
        batches = {
            name: task.batches(getattr(splits, name), loaded.tokenizer, 16, TOKENS, count, 0)
            for name, count in samples.items()
        }
        found = similarity(layered, task, batches["train"], quiet)
        taylor = weight_times_gradient(layered, task, batches["train"], quiet)
        select = Coalitions(layered, task, batches["select"])
        return cls(setting, layered, task, batches, Published({}, found, taylor.tolist()), select)

    def search(self, granularity: str, budget: float, seed: int = 0) -> Search:
        units, groups = self.layered, [frozenset({layer}) for layer in range(len(self.layered))]
        sizes = [1] * len(groups)
        if granularity == "sublayer":
            units = SubLayers(self.layered.model, self.batches["test"][0].rows(0, 1).inputs)
            groups, sizes = units.groups, [part.parameters for part in units.blocks]
        coalitions = Coalitions(units, self.task, in_eighths(self.batches["select"], seed))
        coalitions.measure([coalitions.everything])
        return Search(coalitions, groups, sizes, self.published, Budget(budget), Saying(), seed=seed)

    def greedy(self, remove: int) -> list[int]:
        """SLEB's order; a deeper one goes on from what a shallower one measured."""
        if len(self.order) < remove:
            self.order = greedy_order(self.sleb, remove, Progress())
        return self.order[:remove]


def language_model(cache_folder: Path) -> Bench:
    quiet = Progress()
    data = datasets.load(parse_data("demo:nyt"), cache_folder, quiet, labelled=False)
    loaded = load(parse_model("demo:smollm2"), cache_folder, torch.device("cpu"), quiet)
    setting = f"demo:smollm2, demo:nyt, {WINDOWS} select windows and all of test, of {TOKENS} tokens, nothing healed"
    return Bench.of(setting, loaded, split(data, 0), {"train": CALIBRATION, "select": WINDOWS, "test": None})


def classifier(cache_folder: Path) -> Bench:
    """The demo model as `layerwise train demo:minilm demo:amazon` trains it."""
    quiet, data = Progress(), "demo:amazon"
    with tempfile.TemporaryDirectory() as home:
        workspace = Workspace(home=Path(home), cache=cache_folder, device="cpu")
        run = workflows.train(TrainRequest(model="demo:minilm", data=data), workspace, quiet)
        folder = workspace.runs.folder(run.id) / MODEL_FOLDER
        loaded = load(parse_model(str(folder)), cache_folder, torch.device("cpu"), quiet)
    splits = split(datasets.load(parse_data(data), cache_folder, quiet, labelled=True), 0)
    setting = f"demo:minilm trained on {data}, whole select and test splits, nothing healed"
    return Bench.of(setting, loaded, match_labels(splits, loaded), {"train": TEXTS, "select": None, "test": None})


def rows(given: Bench, remove: int, granularity: str) -> Iterator[str]:
    """The table of one size, and whether its target is met."""
    layers = len(given.layered)
    begin = time.monotonic()
    search = given.search(granularity, sum(range(layers, layers - remove, -1)))
    kept, seeds, _ = search.best(layers - remove)
    took = time.monotonic() - begin
    seeds["SLEB"] = search.without(given.greedy(remove))
    search.coalitions.measure(seeds.values())
    ordered = sorted(seeds, key=lambda name: search.quality(seeds[name]))
    # Those that are far behind on select cannot be the best on test.
    least = search.coalitions.mean_loss(seeds[ordered[0]])
    told = [name for name in ordered if search.coalitions.mean_loss(seeds[name]) < least + MARGIN]
    test = Coalitions(search.coalitions.layered, given.task, given.batches["test"])
    test.measure([test.everything, kept, *(seeds[name] for name in told)])
    yield f"\n{remove} of {layers} blocks, {granularity}: {search.spent:.0f} evaluations, {took / 60:.1f} minutes\n"
    yield f"| from | removes | {given.task.metric} on select | on test | 95 % |"
    yield "|---|---|---|---|---|"
    for name, chosen in [("all", test.everything), ("search", kept), *((name, seeds[name]) for name in ordered)]:
        on_select = search.coalitions.metric(chosen)
        found = outcome(given.task, test[chosen]).metric if chosen in test.known() else None
        yield f"| {name} | {names(chosen, search)} | {on_select:.4g} | {shown(found)} |"
    best = (max if given.task.higher_is_better else min)(test.metric(seeds[name]) for name in told)
    ratio, target = test.metric(kept) / best, None
    if not given.task.higher_is_better:
        target = TARGETS.get((remove, granularity))
    verdict = "" if target is None else f", target {target:g}× {'met' if ratio <= target else 'MISSED'}"
    yield f"\nOn the test split **{ratio:.3f}×** the {given.task.metric} of the baseline that is best there{verdict}."


def names(kept: Kept, search: Search) -> str:
    units = search.coalitions.layered.layers
    gone = sorted(search.coalitions.everything - kept)
    if len(search.sizes) == search.layers:
        return ", ".join(map(str, gone)) or "nothing"
    return ", ".join(".".join(units[unit].name.split(".")[-2:]) for unit in gone) or "nothing"


def shown(found: Estimate | None) -> str:
    return "| " if found is None else f"{found.value:.4g} | {found.low:.4g} to {found.high:.4g}"


def tables(cache_folder: Path, wanted: Sequence[tuple[int, str]] = tuple(TARGETS)) -> Iterator[str]:
    """Of the trained demo model at all ratios, then of the language model."""
    trained = classifier(cache_folder)
    yield trained.setting
    for ratio in RATIOS:
        layers = len(trained.layered)
        yield from rows(trained, layers - round(layers / ratio), "block")
    yield from of_language_model(cache_folder, wanted)


def of_language_model(cache_folder: Path, wanted: Sequence[tuple[int, str]] = tuple(TARGETS)) -> Iterator[str]:
    given = language_model(cache_folder)
    yield f"\n{given.setting}"
    for remove, granularity in wanted:
        yield from rows(given, remove, granularity)
