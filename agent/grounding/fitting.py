"""Whether what an answer says around a number contradicts a fact that has its value, and if not, how well it fits.

What is not named at all is free. What is named, and is none of what the fact is about, contradicts it. In between stands the
excess: how much further the words for it are than those for something else.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from math import inf
from typing import Any

from agent.grounding.amounts import PERCENT, POINTS, TIMES, physical
from agent.grounding.differences import counts_examples, is_more, is_negative
from agent.grounding.facts import ASIDE, MEASURED, SMALL, Fact, record_of
from agent.grounding.numbers import Token
from agent.grounding.places import ABOVE, LAYERS, Place
from agent.grounding.words import Cue, Dimension
from tools.wording import SHARES

WEAK = 1  # for a number as short as 0.3
SPOKEN_FOR = 2
LIMIT = 4  # words that are nearer by more than that are of something else
UNNAMED = 6.5  # the distance of what is not named: nearer words are of something else only where no number is between
_TELLING = 4  # so many digits are hardly those of something else by chance
_ESSENTIAL = {"score", "error", "throughput", "max_logit_difference", "fidelity", "rank", "last_rank", "tau", "kendall_w",
              "steadiness"}  # fmt: skip
_FORETOLD = {"latency_ms", "disk_mb", "seconds", "peak_memory_mb", "speedup"}
_OF_MODEL = {*SHARES, "error", "loss", "perplexity"}
_OF_METHOD = ("fidelity", "tau", "kendall_w", "steadiness")
_SIZES = {"latency_ms", "disk_mb", "peak_memory_mb"}
_PERCENTAGES = {*SHARES, "error", "right", "score", "fidelity", "kendall_w"}
_BASE = re.compile(
    r"(?:(?:\b(?:of|as|than|over|against|with|to|vs\.?|versus)|fast as|/)(?: the| its| an?)?\s*\**|(?:保留了?|是|为|比|相对于?|相当于|与)\s*\**)$",
    re.IGNORECASE,
)
_RATIO = re.compile(r"\bratio\b(?! of \d)|之比", re.IGNORECASE)
_OF = re.compile(r"\bof(?: the| its| an?)?\s*\**$", re.IGNORECASE)


def misfit(place: Place, facts: tuple[Fact, ...]) -> float:
    """How badly the words fit the fact, or the two that the number is computed from; infinite where they contradict it, and for a sum."""
    if len(facts) > 2:
        return inf
    total = 0.0
    limit = WEAK if _is_weak(place.token) else LIMIT
    for each in _single(place, *facts) if len(facts) == 1 else _pair(place, *facts):
        if each > limit:
            return inf
        total += each
    return total


def _is_weak(token: Token) -> bool:
    """Whether so short a number, as 0.3, is found by chance among other things."""
    short = "." in token.text and len(re.sub(r"\D", "", token.text)) < 3
    return short and token.kind == "quantity" and not token.low and token.unit in ("", "%")


def _single(place: Place, fact: Fact) -> Iterator[float]:
    cited = place.cited
    yield inf if cited and fact.run is not None and fact.run not in cited else 0
    yield _of_name(place, fact)
    if fact.value > 0 and (fact.low is None or fact.low > 0) and is_negative(place.token):
        yield inf
    if not fact.ratio and not fact.named and fact.name not in ("score", "max_logit_difference"):
        yield inf if is_more(place) else 0
    if (
        fact.name in SHARES
        and not fact.ratio
        and not place.token.unit
        and _RATIO.search(place.ahead[place.clause[0] :])
    ):
        yield inf  # "the accuracy ratio is 0.766"
    if fact.name in _FORETOLD and "expected" in place.named("subject"):  # 69.56 MB predicted, 69.57 measured
        foretold = fact.subject == "expected" or "predict" in fact.path
        yield 0 if foretold == ("expected" in place.own("subject")) else 2
    if fact.ratio and fact.subject not in ASIDE:
        yield _of_ratio(place, fact)
    else:
        yield _of_subject(place, fact)
    yield from shared(place, fact)


def shared(place: Place, fact: Fact) -> Iterator[float]:
    """In every dimension but the name and the model."""
    if fact.split is not None:
        yield _unless_spoken_for(place, "split", place.named("split").get(fact.split, inf))
    if fact.methods and fact.subject not in ASIDE:
        yield _of_methods(place, fact)
    yield _of_layer(place, fact)
    if stage := fact.stage:
        yield _unless_spoken_for(place, "stage", place.named("stage").get(stage, inf))
    if fact.texts is not None and fact.name != "texts":
        yield excess(place.named("texts"), {"one" if fact.texts == 1 else "several"})
    if fact.epoch is not None and fact.name != "epoch":
        yield _unless_spoken_for(place, "epoch", place.named("epoch").get(fact.epoch, inf))
    if fact.removed and fact.subject != "dense":
        yield _unless_spoken_for(place, "size", by_model(place, fact, specific=True))
        yield _unless_spoken_for(place, "set", by_model(place, fact, specific=True))


def excess(named: dict[Any, int], values: Iterable[Any] = (), own: float = inf) -> float:
    """How much further the words for one of the values are than the nearest."""
    if not named:
        return 0
    own = min([own, *(named[value] for value in values if value in named)])
    return max(own - min(named.values()), 0)


def _unless_spoken_for(place: Place, dimension: Dimension, own: float) -> float:
    """The excess; what is not named may be meant where all that is named is said of other numbers."""
    named = {value: distance for value, distance in place.named(dimension).items() if value not in ASIDE}
    if not named:
        return 0
    further = max(own - min(named.values()), 0)
    return further if place.own(dimension) - set(ASIDE) else min(further, SPOKEN_FOR)


def by_model(place: Place, fact: Fact, specific: bool = False) -> float:
    """How far the nearest word for the model of a fact is: its name, its method, its number of layers, those it is without.

    A `specific` one tells it from the others that were considered.
    """
    found: list[float] = [0 if record_of(fact) in place.known else place.named("subject").get(fact.subject, inf)]
    if specific and fact.subject == "alternative":
        found = [inf]
    if fact.subject == "alternative":
        found += [place.named("method").get(method, inf) for method in fact.methods]
    if fact.subject == "curve" and any("removed" in cue.values for cue in place.cues("say")):
        found += [1 + place.named("method").get(method, inf) for method in fact.methods]
    if fact.subject == "epoch":
        found += [place.named("epoch").get(fact.epoch, inf)]
        near = [place.passage, *(passage for _, passage in place.above())]
        in_training = fact.split == "train" and "train" in place.named("split")
        if in_training or any("epochs" in cue.values or cue.dimension == "epoch" for each in near for cue in each.cues):
            found.append(3)
    considered = fact.subject in ("alternative", "curve") and bool(fact.methods)  # one of many of a size
    if fact.removed is not None and not (considered and not set(fact.methods) & set(place.named("method"))):
        gone, kept = len(fact.removed), fact.kept
        found += [d for size, d in place.named("size").items() if size in (("removed", gone), ("kept", kept))]
    if fact.removed is not None:
        found += [d for each, d in place.named("set").items() if each in sets_of(fact)]
        lists = [each for each in place.passage.tokens if each.layers and set(each.layers) == set(fact.removed)]
        found += [1 + place.far(Cue("layer", each.layers, each.start, each.end)) for each in lists]
    return min(found)


def sets_of(fact: Fact) -> list[tuple[str, frozenset[int]]]:
    """What is said of the layers of its model: these removed, those kept."""
    removed = frozenset(fact.removed or ())
    kept = frozenset(range(len(removed) + (fact.kept or 0))) - removed
    return [("removed", removed), ("kept", kept)] if fact.removed is not None else []


def _of_subject(place: Place, fact: Fact) -> float:
    if fact.subject in ASIDE:
        if fact.name == "ratio" or record_of(fact) in place.known:
            return 0
        if fact.subject == "expected" or fact.name in ("layers_removed", "layers_kept"):
            own = float(place.named("subject").get(fact.subject, inf))
            own = min([own, *(d for each, d in place.named("set").items() if each in sets_of(fact))])
            own += 4 * any(fact.subject not in values for values in place.soft())
        else:
            own = by_model(place, fact)
        if fact.subject == "curve" and place.cues("method") and not set(fact.methods) & set(place.named("method")):
            return inf
        head = set(place.head("method"))
        if fact.methods and head and (not head & set(fact.methods) or (len(head) > 1 and not place.token.unit)):
            return inf
        other = 3 * bool(place.own("subject") - set(ASIDE) - {fact.subject})  # "the original has 88.0 %"
        return inf if own == inf else min(max(own - 1, 0) / 2 + other, LIMIT)
    if fact.subject in (None, "model") or fact.name == "texts":
        return 0
    own, other = by_model(place, fact), 0
    if soft := place.soft():
        own, other = (min(own, 1), 0) if fact.subject in soft[0] else (own, 2)
    found = _unless_spoken_for(place, "subject", own) + other
    return min(found, LIMIT) if soft else found


def _of_ratio(place: Place, fact: Fact) -> float:
    if place.token.unit not in TIMES and fact.name != "speedup" and not place.says("kept"):
        return inf
    return 0 if right_sides(place) else inf


def _of_methods(place: Place, fact: Fact) -> float:
    named = place.named("method")
    if len(fact.methods) == 2:
        distances = sorted(named.values())[:2]
        if not set(fact.methods) <= set(named):
            return inf
        return (sum(named[each] for each in fact.methods) - sum(distances)) / 2
    if not named:
        if place.given:
            return 0
        if fact.name == "examples":
            return inf
        return 0 if fact.name == "score" or fact.methods == ("consensus",) or fact.name not in _ESSENTIAL else inf
    if fact.layer is None and place.of_the_rest:
        return inf if fact.methods[0] in named else 0
    return _unless_spoken_for(place, "method", named.get(fact.methods[0], inf))


def _of_layer(place: Place, fact: Fact) -> float:
    if fact.layer is None:
        if fact.name in _OF_MODEL and place.head("layer") and not place.cues("say") and not fact.removed:
            return inf  # "layer 5: 0.49" is no loss of the model
        return 3 if fact.name == "parameters" and place.clause_says("each_layer") else 0
    if fact.name == "parameters":  # all are of one size
        return 0 if place.clause_says("each_layer") else 1
    named = place.named("layer")
    if place.of_the_rest:
        return inf if fact.layer in named else 0
    if not named:
        told = len(re.sub(r"\D", "", place.token.text).lstrip("0")) > 2 or place.given  # "the last one has 0.498"
        return inf if fact.name in ("rank", "last_rank") or (fact.name == "score" and not told) else 0
    return _unless_spoken_for(place, "layer", named.get(fact.layer, inf))


def _of_name(place: Place, fact: Fact) -> float:
    token = place.token
    named = place.measures
    few = len(token.text.strip("0")) < (3 if token.text.isdigit() and not token.unit else _TELLING)
    bare = token.kind == "quantity" and few and not token.unit and "." not in token.text and token.low is None
    if token.unit in PERCENT and fact.name in SHARES:  # "better in accuracy (83.0 %) and in loss"
        named = {name: distance for name, distance in named.items() if distance < 2 or name in _PERCENTAGES}
    own: float = named.get(fact.name, inf)
    if fact.name in SHARES:  # "it scores 88 %"
        own = min(own, named.get("score", inf))
    if fact.name == "examples" and fact.split and own < inf:  # "2104 train, 451 select, 455 test examples"
        own = min(own, place.named("split").get(fact.split, inf))
    if fact.name in ("right", "wrong") and own < inf:  # "408 right, then 376 texts"
        own = min(own, named.get("examples", inf))
    if fact.name == "throughput" and own < inf:  # "texts per second"
        own = min(own, named.get("examples", inf))
    if fact.name == "score" and not (bare and own == inf):
        # a method or a layer says that it is a score
        near = [*place.named("layer").values(), *place.named("method").values()]
        own = min(own, named.get("loss", inf), *near, inf)
    if fact.name in ("samples", "calibration_examples"):
        own = min(own, named.get("examples", inf))
    if fact.name == "texts":  # "when you send 16"
        own = min([own, *place.named("texts").values()])
    if fact.of:  # a number of examples
        measured = {value for value in named if value in MEASURED}
        own = inf if measured and fact.of not in measured else own
    of_method = bool(fact.methods) and fact.layer is None and fact.subject not in ASIDE
    essential = fact.name in _ESSENTIAL and not (of_method and "." in token.text)
    if (
        fact.name in _OF_MODEL
        and not fact.methods
        and set(place.head("method")) - {"search"}
        and own > 1
        and "dense" not in place.named("subject")
    ):
        return inf  # "SHAP: 0.74" is no accuracy of the model
    if (
        own == inf
        and not token.unit
        and fact.name in _OF_MODEL
        and any(named.get(each, inf) < ABOVE for each in _OF_METHOD)
    ):
        return inf  # "SHAP's fidelity of 0.88 beats ablation's 0.73": of the same
    of_model = not fact.methods and fact.layer is None and "alternative" not in place.named("subject")
    if own == inf and not token.unit and of_model and place.own_cues("method"):
        return inf  # in a sentence on a method what else is measured has to be named
    close = {name for name, distance in named.items() if distance < ABOVE}
    if own == inf and not (essential or bare or (fact.named and few) or (physical(token) and close & _SIZES)):
        own = UNNAMED
    if not named:
        return inf if own == inf else 0
    return max(own - min(named.values()), 0)


def of_each_method(place: Place, best: Fact, equal: Sequence[Fact]) -> bool:
    """Whether a number that is said of several methods is that of each, or a tau that of each two of them."""
    if not best.methods or (best.subject in ASIDE and not place.passage.cell):
        return True
    if place.of_the_rest:  # of the others
        return True
    alike = [fact for fact in equal if (fact.name, fact.layer, fact.subject) == (best.name, best.layer, best.subject)]
    alone = {fact.methods[0] for fact in alike if len(fact.methods) == 1}
    pairs = {frozenset(fact.methods) for fact in alike if len(fact.methods) == 2}
    nearest = min(place.named("method").values(), default=0)
    for group in place.methods():
        said = set(group) - {"consensus"}
        distances = [place.named("method")[each] for each in said]
        if len(said) > 1 and min(distances) == nearest and not any(each == 0 for each in distances):
            return said <= alone or all(frozenset(pair) in pairs for pair in combinations(said, 2))
    return True


def right_sides(place: Place, of_dense: bool = True, pair: Iterable[str | None] = ()) -> bool:
    """Whether two different models are compared, and the dense one where it is one of the pair.

    With `of_dense` the second has to be the dense one.
    """
    sides: tuple[list[Cue], list[Cue]] = ([], [])
    start, end = place.clause
    for cue in place.passage.cues:
        if cue.dimension == "subject" and not cue.forward and not set(cue.values) <= set(ASIDE):
            ahead = place.passage.text[: cue.start]
            if _OF.search(ahead) and not start <= cue.start < end:
                continue  # "the latency of the healed model is ..., the speedup ...": nothing is compared with it
            sides[bool(_BASE.search(ahead))].append(cue)
    compared, base = sides
    if of_dense and any("dense" not in cue.values for cue in base):
        return False
    if base and "dense" in pair and not any("dense" in cue.values for cue in (*compared, *base)):
        return False
    if any(one.values == other.values for one in compared for other in base):
        return False
    return not compared or not base or any("dense" not in cue.values for cue in (*compared, *base))


def _pair(place: Place, first: Fact, second: Fact) -> Iterator[float]:
    """Of two facts that differ in one respect: the answer has to be about both sides of it."""
    cited = place.cited
    runs = {first.run, second.run} - {None}
    if len(runs) == 2:
        of_dense = "dense" in (first.subject, second.subject) and (not cited or runs & cited)
        of_dense = of_dense and first.name not in ("latency_ms", "throughput")  # measured under other conditions
        yield 0 if of_dense or runs <= set(place.named("run")) or runs <= cited else inf
    else:
        yield inf if cited and not runs <= cited else 0
    if first.name in LAYERS:
        return
    unit = place.token.unit
    speed = {"latency_ms", "throughput"}
    meant = place.measures
    if unit in POINTS:
        yield 0 if not first.unit and first.name in ("accuracy", "f1") else inf
        meant = {name: distance for name, distance in meant.items() if name in SHARES}
    if physical(place.token) and not set(meant) & _SIZES:
        meant = {}
    if meant and "speedup" in meant and first.name in speed:
        meant = {**meant, first.name: meant["speedup"]}
    if first.name == "score":
        yield _of_name(place, first)
    elif counts_examples(place):
        yield 0
    elif meant:
        yield excess(meant, {first.name, "score"} if first.name in SHARES else {first.name})
    else:
        in_nats = first.name in ("loss", "score") and re.match(r"[^.;\n]{0,20}?\bnats\b", place.behind)
        yield 0 if unit in POINTS or physical(place.token) or in_nats else inf
    if first.split:
        yield excess(place.named("split"), {first.split})
    if first.texts:
        yield excess(place.named("texts"), {"one" if first.texts == 1 else "several"})
    if first.layer != second.layer:
        named = place.named("layer")
        yield 0 if {first.layer, second.layer} <= set(named) else inf
        if unit in TIMES and (sides := _of_layers(place)):  # the one that the sentence is about, and the other
            yield 0 if first.layer in sides[0] and second.layer in sides[1] else inf
        yield excess(place.named("method"), first.methods)
        return
    if first.methods != second.methods and first.subject not in ASIDE:
        named = place.named("method")
        yield 0 if {*first.methods, *second.methods} <= set(named) else inf
        yield _of_layer(place, first) if first.layer is not None else 0
        return
    if first.layer is not None:
        yield excess(place.named("layer"), {first.layer})
    yield from _of_models(place, first, second)


def _of_models(place: Place, first: Fact, second: Fact) -> Iterator[float]:
    pair = {first.subject, second.subject}
    for each in (first, second):
        if each.subject in ASIDE:
            yield 0 if by_model(place, each) < inf else inf
    if not pair & set(ASIDE):
        yield 0 if right_sides(place, of_dense=False, pair=pair) else inf
    small = {value for cue in place.own_cues("subject") if "dense" not in cue.values for value in cue.values} & set(
        SMALL
    )
    if small and not pair & set(ASIDE):
        yield 0 if small & pair else inf
        yield 1 if len(pair - {"dense"} - small) else 0
    elif not pair & set(ASIDE):
        yield 0 if "dense" in pair or place.says("healing") or place.says("recovered") else inf


def _of_layers(place: Place) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Of "layer 5 is 3.6 times as important as layer 0" the two, in this order."""
    named = place.cues("layer")
    behind = [cue for cue in named if cue.start >= place.token.end]
    return (named[0].values, behind[0].values) if behind and behind[0] is not named[0] else None
