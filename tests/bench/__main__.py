"""Times ours against the straightforward way, both in this run: `make bench`, or python -m tests.bench --only a,b."""

import argparse
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import platformdirs
import torch

from tests.bench import healing, history, page, plans
from tests.bench.cases import CASES, Case, Numbers

TABLES = {
    "plans": plans.tables,
    "healing": healing.tables,
    "history": history.tables,
    "page": page.tables,
}  # not races but tables


def timed(run: Callable[[], Numbers]) -> tuple[float, Numbers]:
    begin = time.perf_counter()
    found = run()
    return time.perf_counter() - begin, found


def difference(ours: Numbers, other: Numbers) -> float:
    """Greatest difference of any method, relative to the greatest number that the method gives."""
    if ours.keys() != other.keys():
        raise ValueError(f"one side gives {sorted(ours)}, the other {sorted(other)}; both must do the same work")
    return max(float(np.abs(ours[name] - other[name]).max() / np.abs(other[name]).max()) for name in ours)


def measured(letter: str, case: Case) -> tuple[str, bool]:
    """A row of the table, and whether both sides gave the same numbers."""
    times: tuple[list[float], list[float]] = ([], [])
    greatest = 0.0
    for _ in range(case.repeats):
        seconds, found = timed(case.ours)
        other_seconds, other = timed(case.straightforward)
        times[0].append(seconds)
        times[1].append(other_seconds)
        greatest = max(greatest, difference(found, other))
    ours, others = (median(each) for each in times)
    ratio, told = others / ours, f"{greatest:.1e}"
    if case.exact:
        greatest = difference(*(side() for side in case.exact))
        told += f", in float64 {greatest:.1e}"
    same = greatest <= case.tolerance
    row = (
        f"| {letter} {case.title} | {ours:.2f} s | {others:.2f} s | **{ratio:.1f}×** | {case.target:g}× "
        f"{'met' if ratio >= case.target else 'MISSED'} | {told}{'' if same else ' TOO LARGE'} |"
    )
    return row, same


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument(
        "--only", default=",".join([*CASES, *TABLES]), help="cases, such as a,b, plans, healing, history or page"
    )
    parser.add_argument("--cache", type=Path, default=Path(os.environ.get("LAYERWISE_CACHE") or default_cache()))
    wanted = parser.parse_args()
    letters = wanted.only.split(",")
    if unknown := [letter for letter in letters if letter not in {*CASES, *TABLES}]:
        parser.error(f"no case {', '.join(unknown)}; there are: {', '.join([*CASES, *TABLES])}")
    warnings.simplefilter("ignore")
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    same = raced([letter for letter in letters if letter not in TABLES], wanted.cache)
    for name in letters:
        for line in TABLES[name](wanted.cache) if name in TABLES else ():
            print(line, flush=True)
    return 0 if same else 1  # a missed ratio may be a busy machine; other numbers are never an accident


def raced(letters: list[str], cache: Path) -> bool:
    """Print the table of these cases; whether both sides of each gave the same numbers."""
    if not letters:
        return True
    print("| case | ours | straightforward | ratio | target | greatest relative difference |")
    print("|---|---|---|---|---|---|", flush=True)
    all_same, settings = True, []
    for letter in letters:
        case = CASES[letter](cache)
        row, same = measured(letter, case)
        print(row, flush=True)
        settings.append(f"{letter}: {case.setting}")
        all_same = all_same and same
    print("", *settings, sep="\n")
    return all_same


def default_cache() -> str:
    return platformdirs.user_cache_dir("layerwise")


if __name__ == "__main__":
    sys.exit(main())
