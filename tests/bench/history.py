"""A home of many runs: how fast it is opened, listed and searched, against the targets. `make bench ONLY=history`.

LAYERWISE_BENCH_RUNS sets how many runs are generated (100,000 unless it is set).
"""

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median

from analyzers.records import Run
from knowledge.runs import RunStore
from tests.sample_runs import START, analysis_run, compression_run, evaluation_run, plan_run, train_run

LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"
MODELS = ("demo:minilm", "demo:smollm2", "bert-base-uncased", "gguf:/models/tiny.gguf")
DATA = ("demo:amazon", "demo:movie", "demo:nyt", "demo:tweets")
QUESTIONS = (
    "half the layers of the sentiment model",
    "which layers matter",
    "the fastest small model",
    "压缩后的小模型",
)
REPEATS = 20


def tables(cache: Path) -> Iterator[str]:
    """Lines of a table: what was timed, the median, the target."""
    number = int(os.environ.get("LAYERWISE_BENCH_RUNS", "100000"))
    with tempfile.TemporaryDirectory(prefix="layerwise-history-") as folder:
        home = Path(folder)
        for run in generated(number):
            path = home / "runs" / run.id / "record.json"
            path.parent.mkdir(parents=True)
            path.write_bytes((run.model_dump_json(indent=1) + "\n").encode())
        yield f"{number:,} generated runs, embedder: hashed n-grams\n"
        yield "| what | measured | target |\n|---|---|---|"
        yield from _timed(home, number)


def _timed(home: Path, number: int) -> Iterator[str]:
    begin = time.perf_counter()
    store = _store(home)
    if (found := store.reindex()) != number:
        raise ValueError(f"{found} of {number} runs were indexed")
    rate = number / (time.perf_counter() - begin)
    yield _row("re-indexing from the records", f"{rate:.0f} a second", "500 a second", rate >= 500)
    opening = _median(lambda: _store(home).count(), 3)
    yield _row("opening", f"{opening:.2f} s", "2 s", opening < 2)
    begin = time.perf_counter()
    store = _store(home)
    store.search(QUESTIONS[0])
    yield _row("opening and the first search", f"{time.perf_counter() - begin:.2f} s", "-", True)
    some = store.list(limit=1)[0]
    questions = [QUESTIONS[i % len(QUESTIONS)] for i in range(REPEATS)]
    for what, limit, action in (
        ("list, the newest 20", 50, lambda _: store.list(limit=20)),
        ("list by kind, status and model", 50, lambda _: store.list(kind="plan", status="done", model=MODELS[0], limit=20)),
        ("list by a range", 50, lambda _: store.list(where=["accuracy>=0.85"], limit=20)),
        ("the newest run of a command", 50, lambda _: store.list(kind=some.kind, command=some.command, limit=1)),
        ("show", 50, lambda _: (store.get(some.id), store.lineage(some.id))),
        ("search", 50, lambda text: store.search(text)),
        ("search by kind", 150, lambda text: store.search(text, kind="plan")),
        ("search by data and a range", 150, lambda text: store.search(text, data=DATA[1], where=["accuracy>=0.85"])),
        ("search by time", 150, lambda text: store.search(text, since=START + timedelta(minutes=number // 2))),
    ):  # fmt: skip
        times = [_seconds(lambda text=text, action=action: action(text)) for text in questions]
        ms = 1000 * median(times)
        yield _row(what, f"{ms:.1f} ms", f"{limit} ms", ms < limit)


def generated(number: int) -> Iterator[Run]:
    """Runs such as sessions leave behind: trained, analysed, planned, compressed, evaluated, with numbers that vary."""
    dice = random.Random(0)
    made = 0
    while made < number:
        name = "".join(dice.choice(LETTERS) for _ in range(5))
        model, data, seed = dice.choice(MODELS), dice.choice(DATA), dice.randrange(1000)
        parents: list[str] = []
        for make in (train_run, analysis_run, plan_run, compression_run, evaluation_run):
            if made == number:
                return
            like = _SAMPLES.setdefault(make, make())
            run_id = f"{like.kind}-{name}{LETTERS[made % len(LETTERS)]}"
            measurements = [
                each.model_copy(update={"value": each.value * dice.uniform(0.85, 1.05)}) for each in like.measurements
            ]
            yield like.model_copy(
                update={
                    "id": run_id,
                    "created": START + timedelta(minutes=made),
                    "model": parents[0] if parents else model,
                    "data": data,
                    "parents": parents[-1:],
                    "command": f"layerwise {like.kind} {model} {data} --seed {seed}",
                    "measurements": measurements,
                    "status": "done" if dice.random() < 0.9 else "failed",
                }
            )
            parents.append(run_id)
            made += 1


_SAMPLES: dict[Callable[[], Run], Run] = {}


def _store(home: Path) -> RunStore:
    return RunStore(home, embedder_folder=None)


def _seconds(action: Callable[[], object]) -> float:
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def _median(action: Callable[[], object], repeats: int) -> float:
    return median(_seconds(action) for _ in range(repeats))


def _row(what: str, measured: str, target: str, met: bool) -> str:
    return f"| {what} | {measured} | {target}{'' if target == '-' else ' met' if met else ' MISSED'} |"
