"""What follows from the facts: error rates, counts of what is wrong, the whole of several parts."""

from collections.abc import Iterator

from agent.grounding.facts import SMALL, Fact


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
