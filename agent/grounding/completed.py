"""What follows from the facts: error rates, counts of what is wrong, the whole of several parts."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from agent.grounding.facts import ASIDE, SMALL, Fact


def completed(numbers: list[Fact], removed: dict[str | None, tuple[int, ...]]) -> Iterator[Fact]:
    """The facts, those of a model without some layers with the count of those left, and of each accuracy its error rate."""
    layers = {fact.run: int(fact.value) for fact in numbers if fact.name == "layers"}
    best = {fact.run: fact.value for fact in numbers if fact.name == "best_epoch"}
    for fact in numbers:
        if len(fact.methods) == 2 and fact.methods[0] == fact.methods[1]:  # agrees with itself
            continue
        if fact.path == "result.parameters" and fact.subject is None:
            fact = fact.model_copy(update={"subject": "dense"})
        if fact.name in ("parameters", "disk_mb"):
            fact = fact.model_copy(update={"texts": None})
        if fact.removed is None and fact.subject in SMALL:
            fact = fact.model_copy(update={"removed": removed.get(fact.run)})
        if fact.subject == "curve" and not fact.removed:  # the mean over random orders
            fact = fact.model_copy(update={"removed": None})
            at = re.search(r"\[(\d+)\]\.removed$", fact.path)
            fact = fact.model_copy(update={"value": int(at[1]) + 1.0}) if at else fact
        if fact.subject == "alternative" and fact.removed == ():
            fact = fact.model_copy(update={"subject": "dense"})
        if fact.subject == "dense":
            fact = fact.model_copy(update={"removed": ()})
        if fact.removed is not None and fact.run in layers:
            fact = fact.model_copy(update={"kept": layers[fact.run] - len(fact.removed)})
        yield fact
        if fact.subject == "epoch" and fact.epoch == best.get(fact.run) and fact.split == "select":  # it is the model
            model = "healed" if ".healing." in f".{fact.path}" else "dense"
            yield fact.model_copy(update={"subject": model, "path": f"{fact.path} "})
        if fact.name == "speedup" and fact.ratio:  # "78 % faster"
            bounds = {key: None if at is None else at - 1 for key, at in (("low", fact.low), ("high", fact.high))}
            yield fact.model_copy(update={"value": fact.value - 1, "path": f"{fact.path} - 1", **bounds})
        if fact.name == "accuracy" and not fact.ratio:
            low, high = (None if each is None else 1 - each for each in (fact.high, fact.low))
            yield fact.model_copy(update={"value": 1 - fact.value, "low": low, "high": high, "name": "error",
                                           "path": f"1 - {fact.path}"})  # fmt: skip


def counted(numbers: Iterable[Fact]) -> Iterator[Fact]:
    """Of each number of right examples that of the wrong ones."""
    numbers = list(numbers)
    of_all = {(fact.run, fact.path.removesuffix(".n")): fact.value for fact in numbers if fact.path.endswith(".n")}
    for fact in numbers:
        where = fact.path.removesuffix(".right")
        if fact.name == "right" and (total := of_all.get((fact.run, where))):
            wrong = {"value": total - fact.value, "name": "wrong", "path": f"{where}.n - {fact.path}"}
            yield fact.model_copy(update=wrong)
    whole = {(fact.run, fact.split): fact.value for fact in numbers if fact.path.startswith("splits.")}
    for fact in numbers:
        total = whole.get((fact.run, fact.split), 0)
        if (
            fact.name == "accuracy"
            and fact.split == "select"
            and not fact.ratio
            and total
            and fact.subject not in ASIDE
        ):
            right = {"value": round(fact.value * total), "low": None, "high": None, "name": "right", "named": True}
            yield fact.model_copy(update={**right, "path": f"{fact.path} right"})


def wholes(numbers: Iterable[Fact]) -> Iterator[tuple[Fact, list[Fact]]]:
    """What is made of parts, as it was measured or as their sum, each with its parts."""
    parts: dict[tuple[object, ...], dict[object, Fact]] = defaultdict(dict)
    measured: dict[tuple[object, ...], Fact] = {}
    models: list[Fact] = []
    for fact in numbers:
        if fact.name == "seconds" and fact.path == "seconds":
            parts[("seconds",)][fact.run] = measured[("seconds", fact.run)] = fact
        elif fact.name == "seconds" and not fact.unit and fact.run:
            parts[("seconds", fact.run)][fact.path] = fact
        elif fact.name == "examples" and fact.split and fact.path.startswith(("splits.", "examples.")):
            parts[("examples", fact.run)].setdefault(fact.split, fact)
        elif fact.name == "parameters" and fact.layer is not None:
            parts[("parameters", fact.run)][fact.layer] = fact
        elif fact.name == "parameters" and fact.subject == "dense":
            models.append(fact)
        elif fact.name == "score":
            parts[("score", fact.run, fact.methods)].setdefault(fact.layer, fact)
    for about, by in parts.items():
        every = list(by.values())
        whole = measured.get(about, _sum(every))
        yield whole, every
        if whole.name == "parameters" and models:
            model = max(models, key=lambda each: (each.run == whole.run, each.value))
            path = f"{model.run} {model.path} - ({whole.path})"  # what is in no layer
            rest = {"value": model.value - whole.value, "path": path}
            yield model, [whole, whole.model_copy(update=rest)]
            yield model, every


def _sum(parts: list[Fact]) -> Fact:
    runs = {each.run for each in parts}
    where = [each.path if len(runs) == 1 else f"{each.run} {each.path}" for each in parts]
    about = {"layer": None, "split": None, "low": None, "high": None, "named": True}
    run = parts[0].run if len(runs) == 1 else None
    update = {**about, "value": sum(each.value for each in parts), "path": _shortened(where), "run": run}
    return parts[0].model_copy(update=update)


def _shortened(paths: list[str]) -> str:
    return " + ".join(paths if len(paths) < 5 else [paths[0], "…", paths[-1]])


def summed(numbers: Iterable[Fact]) -> Iterator[Fact]:
    """The wholes, and the rests, that nothing has measured; scores are in units of their own, of which a sum says little."""
    known = {(fact.run, fact.path) for fact in numbers}
    for whole, parts in wholes(numbers):
        if whole.name != "score":
            yield from (each for each in (whole, *parts) if (each.run, each.path) not in known)
