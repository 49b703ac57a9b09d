"""The facts in the results of tools, in records, and in what the user said: each value with what the way to it says of it."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from agent.grounding.completed import completed, counted, summed
from agent.grounding.facts import ASIDE, MEASURED, Fact, Facts, Layers, Quote
from agent.grounding.numbers import SPELT
from analyzers.records import LayerScore, Run
from analyzers.run_ids import RUN_ID
from knowledge.comparison import ranks

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BY_METHOD = ("scores", "methods", "fidelity", "units", "stability", "curves", "tau")  # keys below are methods
_SAME = {"planned": "compressed", "predicted": "expected", "measured": None}  # subjects of records by another name
_LISTS = {
    "remove": "removed", "removed": "removed", "keep": "kept", "kept": "kept",
    "most_important_first": "order", "consensus": "order", "ranks": "ranks",
}  # fmt: skip
# What a key of a record or of a tool's result says about the values below it.
_KEYS: dict[str, dict[str, Any]] = {
    "dense": {"subject": "dense", "split": "select"},
    "dense_select": {"subject": "dense", "split": "select"},
    "dense_test": {"subject": "dense", "split": "test"},
    "chosen": {"subject": "compressed"},
    "others": {"subject": "alternative"},
    "frontier": {"subject": "alternative"},
    "curves": {"subject": "curve"},
    "select": {"split": "select", "name": "metric"},
    "test": {"split": "test", "name": "metric"},
    "train": {"split": "train"},
    "train_loss": {"split": "train", "name": "loss"},
    "predicted": {"subject": "compressed"},
    "prediction": {"subject": "compressed"},
    "dense_latency_ms": {"subject": "dense", "name": "latency_ms", "unit": "ms"},
    "latency_ms": {"name": "latency_ms", "unit": "ms"},
    "disk_mb": {"name": "disk_mb", "unit": "MB"},
    "times_as_fast": {"name": "speedup", "ratio": True, "subject": "healed"},
    "quality_kept": {"name": "metric", "ratio": True, "subject": "healed"},
    "metric_times": {"name": "metric", "ratio": True, "subject": "healed"},
    "stability": {"name": "steadiness"},
    "steady": {"name": "steadiness"},
    "scores": {"name": "score"},
    "fidelity": {"name": "fidelity"},
    "tau": {"name": "tau"},
    "splits": {"name": "examples"},
    "examples": {"name": "examples"},
    "settings": {"setting": True},
    "environment": {"setting": True},
    "foretold": {"subject": "expected"},
    "target": {"setting": True},
}
_ABOUT = [key for key in Fact.model_fields if key not in ("value", "low", "high", "of", "named")]


def facts_of(texts: Iterable[str], runs: Iterable[Run] = (), said: str = "") -> Facts:
    """The facts in the results of tools (JSON or text), in the records of runs, and in what the user said."""
    found = Facts([], [], [], [])
    for run in runs:  # first: where a record and a result say the same, the record is named
        _walk(run.model_dump(mode="json"), _Here(run=run.id), found)
    for text in texts:
        try:
            document = json.loads(text)
        except ValueError:
            found.quotes.append(Quote(text=text, path="told"))
        else:
            _walk(document, _Here(), found)
    if said:
        found.quotes.append(Quote(text=said, path="said"))
    done = {(each.run, each.name) for each in found.numbers if not each.path.startswith(("settings", "target"))}
    # what was done counts, not what was set
    kept = [each for each in found.numbers if not each.path.startswith("settings") or (each.run, each.name) not in done]
    first: dict[Any, Fact] = {}
    for each in kept:
        first.setdefault(_key(each), each)
    removed = {each.run: each.layers for each in found.lists if each.what == "removed" and each.subject not in ASIDE}
    numbers = [*completed(list(first.values()), removed)]
    numbers += [*counted(numbers), *summed(numbers)]
    found.lists.extend(_kept(found.lists, numbers))
    return found._replace(numbers=numbers, sizes=sorted((abs(each.value), i) for i, each in enumerate(numbers)))


def _kept(lists: Iterable[Layers], numbers: Iterable[Fact]) -> Iterator[Layers]:
    """What stays where a list of what goes is recorded."""
    totals = {fact.run: int(fact.value) for fact in numbers if fact.name == "layers"}
    for each in [each for each in lists if each.what == "removed" and each.layers and each.run in totals]:
        left = tuple(i for i in range(totals[each.run]) if i not in each.layers)
        yield each.model_copy(update={"layers": left, "what": "kept"})


def _key(fact: Fact) -> tuple[Any, ...]:
    return (fact.run, fact.path) if fact.path else (fact.value, fact.name)


class _Here(NamedTuple):
    """What is known of a place in a document by the way to it."""

    run: str | None = None
    path: str = ""
    name: str = ""
    methods: tuple[str, ...] = ()
    layer: int | None = None
    subject: str | None = None
    split: str | None = None
    unit: str = ""
    ratio: bool = False
    setting: bool = False
    metric: str = ""
    texts: int | None = None
    epoch: int | None = None
    removed: tuple[int, ...] | None = None
    kept: int | None = None
    runs: tuple[str, ...] = ()  # of a comparison: lists below have one item a run

    def below(self, key: str, parent: str) -> "_Here":
        here = self._replace(path=f"{self.path}.{key}" if self.path else key, name=key)
        if self.name == "tau" and len(self.methods) == 1:  # the second of a pair
            return here._replace(methods=(*self.methods, key), name="tau")
        if parent in _BY_METHOD:
            more = tuple(key.split(" / ")) if parent == "tau" else (key,)
            return here._replace(methods=(*self.methods, *more), name=self.name)
        if key in ("value", "values"):
            return here._replace(name=self.name)
        if key == "n" or parent in ("splits", "examples"):
            return here._replace(name="examples", split=key if key != "n" else self.split)
        known = dict(_KEYS.get(key, {}))
        if known.get("name") == "metric" or key == "metric":
            known["name"] = self.metric
        if key in ("tau", "examples") and self.name == "steadiness":
            known = {"name": "steadiness" if key == "tau" else "examples"}
        return here._replace(**known)

    def item(self, index: int, length: int) -> "_Here":
        here = self._replace(path=f"{self.path}[{index}]")
        if self.path.endswith("candidates"):
            here = here._replace(subject="alternative" if index else "compressed")
        if self.path.endswith("epochs"):
            here = here._replace(subject="epoch")
        of_run = length == len(self.runs) and self.path.endswith(("values", "ranks"))
        return here._replace(run=self.runs[index]) if of_run else here

    def of(self, document: dict[str, Any]) -> "_Here":
        """With what a document says about itself."""
        here = self
        identity = document.get("run") or document.get("id")
        if isinstance(identity, str) and RUN_ID.fullmatch(identity):
            here = here._replace(run=identity)
        if isinstance(document.get("runs"), list) and "measurements" in document:
            here = here._replace(runs=tuple(document["runs"]))
        if isinstance(document.get("metric"), str):
            here = here._replace(metric=document["metric"])
        layer = document.get("layer", document.get("index"))
        if isinstance(layer, int):
            here = here._replace(layer=layer)
        if isinstance(document.get("epoch"), int):
            here = here._replace(epoch=document["epoch"])
        if texts := re.search(r"(\d+) texts?\b", str(document.get("conditions", ""))):
            here = here._replace(texts=int(texts[1]))
        removed = (
            document.get("remove") if "select" in document else document.get("removed") if "loss" in document else None
        )
        if isinstance(removed, list):
            here = here._replace(removed=tuple(removed))
        method = document.get("method")
        if isinstance(method, str):
            here = here._replace(methods=(method,))
        if here.subject == "alternative" and isinstance(document.get("source"), str):
            here = here._replace(methods=(document["source"],))
        if "subject" in document and "name" in document:
            name, _, of_dense = str(document["subject"]).partition("/")
            ratio = bool(of_dense)
            measured = str(document["name"]).removesuffix("_ratio") if ratio else str(document["name"])
            split, unit = document.get("split"), document.get("unit") or ""
            here = here._replace(subject=_SAME.get(name, name), name=measured, ratio=ratio, split=split, unit=unit)
        elif "values" in document and "name" in document:
            here = here._replace(name=str(document["name"]), setting=True)
        return here


def _walk(value: Any, here: _Here, found: Facts, key: str = "") -> None:
    match value:
        case bool() | None:
            return
        case int() | float():
            found.numbers.append(_fact(here, float(value)))
        case str():
            _text(value, here, found)
            if key == "conditions" and here.texts:
                found.numbers.append(_fact(here._replace(name="texts", unit="", ratio=False), here.texts, named=True))
            if key == "conditions" and (long := re.search(r"(\d+) tokens\b", value)):
                found.numbers.append(
                    _fact(
                        here._replace(name="token", path=f"{here.path} tokens", unit="", ratio=False),
                        int(long[1]),
                        named=True,
                    )
                )
        case dict():
            _document(value, here.of(value), found, key)
        case list() if key in _LISTS and all(isinstance(each, int) for each in value):
            found.lists.append(Layers(layers=tuple(value), what=_LISTS[key], methods=here.methods,
                                      subject=here.subject, run=here.run, path=here.path))  # fmt: skip
            if _LISTS[key] == "order" and not here.methods:
                for place, layer in enumerate(value):
                    of_all = here._replace(methods=("consensus",), layer=layer, path=f"{here.path}[{place}]")
                    _ranked(of_all, place + 1, len(value) - place, found)
            name = {"removed": "layers_removed", "kept": "layers_kept"}.get(_LISTS[key])
            if name:
                found.numbers.append(_fact(here._replace(name=name), len(value)))
        case list():
            if key in ("layers", "epochs", "candidates"):
                counted = [each for each in value if not isinstance(each, dict) or each.get("epoch") != 0]
                found.numbers.append(_fact(here, len(counted)))
            for index, each in enumerate(value):
                _walk(each, here.item(index, len(value)), found, key if key in _LISTS else "")


def _document(value: dict[str, Any], here: _Here, found: Facts, key: str) -> None:
    if "epoch" in value:
        found.numbers.append(
            _fact(here._replace(name="epoch", path=here.path + ".epoch", subject=None), value["epoch"])
        )
    skipped = {"layer", "index", "rank", "epoch", "similarity", "run", "id", "subject", "split", "unit", "runs"}
    if isinstance(value.get("value"), int | float) and "low" in value:
        where = here.path + ".value"
        estimate = _fact(here._replace(path=where), value["value"], low=value["low"], high=value["high"], named=False)
        found.numbers.append(estimate)
        skipped |= {"value", "low", "high"}
        if value.get("n"):
            counted = here._replace(name="examples", path=here.path + ".n", unit="", ratio=False)
            found.numbers.append(_fact(counted, value["n"], of=here.name))
            if here.name == "accuracy" and not here.ratio:
                found.numbers.append(
                    _fact(counted._replace(name="right", path=here.path + ".right"), round(value["value"] * value["n"]))
                )
            skipped.add("n")
    scores = value.get("scores")
    if isinstance(scores, dict):  # of a record; a tool's result has a list for each method
        found.numbers.append(_fact(here._replace(name="methods", path=f"{here.path}.scores"), len(scores)))
        for method, of_layers in scores.items():
            _ranks(method, of_layers, here, found)
    elif isinstance(scores, list):
        _ranks(here.methods[-1] if here.methods else "", scores, here, found)
    if any(isinstance(each, dict) for each in value.get("runs") or []):  # a list of runs, not of their ids
        skipped.remove("runs")
    for name, each in value.items():
        if name in skipped:
            continue
        _walk(each, here.below(str(name), key), found, str(name))


def _ranks(method: str, scores: list[dict[str, Any]], here: _Here, found: Facts) -> None:
    parsed = [
        LayerScore(layer=each["layer"], value=each["value"], low=each["value"], high=each["value"]) for each in scores
    ]
    ordered = sorted(parsed, key=lambda score: score.layer)
    of_method = ranks(parsed)
    path = f"{here.path}.scores.{method}".lstrip(".")
    from_last = ranks([each.model_copy(update={"value": -each.value}) for each in parsed])
    for score, rank, last in zip(ordered, of_method, from_last, strict=True):
        _ranked(
            here._replace(methods=(method,), layer=score.layer, path=f"{path}[{score.layer}] rank"), rank, last, found
        )
    order = tuple(score.layer for score in sorted(ordered, key=lambda score: -score.value))
    found.lists.append(Layers(layers=order, what="order", methods=(method,), run=here.run, path=path))
    found.lists.append(Layers(layers=tuple(of_method), what="ranks", methods=(method,), run=here.run, path=path))


def _ranked(here: _Here, rank: float, from_last: float, found: Facts) -> None:
    found.numbers.append(_fact(here._replace(name="rank"), rank, named=True))
    found.numbers.append(_fact(here._replace(name="last_rank", path=f"{here.path} from last"), from_last, named=True))


def _fact(here: _Here, value: float, **more: Any) -> Fact:
    about: dict[str, Any] = {key: getattr(here, key) for key in _ABOUT}
    about["named"] = here.setting or here.name not in MEASURED
    return Fact(value=value, **(about | more))


def _text(text: str, here: _Here, found: Facts) -> None:
    if not SPELT.search(text) or RUN_ID.fullmatch(text):
        return
    found.quotes.extend(Quote(text=each, run=here.run, path=here.path) for each in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    yield text
    if _DATE.match(text):
        yield text[:10]
        yield f"{text[:10]} {text[11:16]}"  # as lists of runs write it
    for sentence in re.split(r"(?<=[.!?;:])\s+|(?<=[。！？；])", text):
        if sentence != text:
            yield sentence
